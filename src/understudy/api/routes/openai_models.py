"""``/v1/models``: the names that ``model`` may have."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends

from understudy.api import openai_answers as answers
from understudy.api.auth import AuthenticatedRoute, bearer_scheme
from understudy.api.openai_errors import UnknownNameError

#: OpenAI's clients insist on a model, and programs come with these names in them. Here each means the active
#: provider; the answer's headers say who that was.
MODELS: Final = ("understudy", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")

#: 2026-11-24, when they were first offered here.
_CREATED: Final = 1_795_478_400

router = APIRouter(
    prefix="/v1/models",
    tags=["openai"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


@router.get("", summary="Names that `model` may have", response_model=answers.Models)
async def list_models() -> dict[str, Any]:
    """Answer them all; they mean the same."""
    return {"object": "list", "data": [_model(name) for name in MODELS]}


@router.get("/{model:path}", summary="One name that `model` may have", response_model=answers.Model)
async def find_model(model: str) -> dict[str, Any]:
    """Answer it, or 404."""
    check_model(model)
    return _model(model)


def check_model(name: str) -> None:
    """Raise :class:`UnknownNameError` unless ``name`` is one of :data:`MODELS`."""
    if name not in MODELS:
        raise UnknownNameError(
            f"There is no such model here. Use one of {', '.join(MODELS)}; each is the active provider.",
            param="model",
            reason="model_not_found",
        )


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "understudy"}
