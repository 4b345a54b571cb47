"""The studio: its pages and their files, and what it is told before anybody has signed in."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from understudy.api import studio_answers
from understudy.api.auth import ContextDep
from understudy.frontend import ICONS, STUDIO, Frontend, Served, origins_of
from understudy.providers.base import Operation
from understudy.settings import Settings
from understudy.speech import designs, pricing, references

#: As frontend/src/studio/paths.ts has them; any other path that nothing serves stays a JSON 404.
STUDIO_PAGES: Final = (
    "/",
    "/sign-in",
    "/sign-up",
    "/generate",
    "/voices",
    "/clone",
    "/design",
    "/history",
    "/usage",
    "/account",
)
#: The embedded issuer asks for no key, and a Supabase client wants one.
EMBEDDED_KEY: Final = "embedded"
_READS: Final = ["GET", "HEAD"]

router = APIRouter(include_in_schema=False)
public_router = APIRouter(prefix="/api", tags=["studio"])


def studio_frontend(settings: Settings) -> Frontend:
    """Return the build that the api serves; its pages may also call the issuer and PUBLIC_BASE_URL."""
    issuer = settings.supabase_url if settings.auth_verifier != "embedded" else ""
    return Frontend(settings.understudy_frontend_dir, origins_of(issuer, settings.public_base_url))


async def _page(request: Request) -> Response:
    return _answer(await asyncio.to_thread(_frontend(request).page, STUDIO))


for _path in STUDIO_PAGES:
    router.add_api_route(_path, _page, methods=_READS)


@router.api_route("/assets/{path:path}", methods=_READS)
async def asset(request: Request, path: str) -> Response:
    """Answer one file of the build, to be kept for ever: its name holds a hash of it."""
    return _answer(await asyncio.to_thread(_frontend(request).asset, path, **_wishes(request)))


async def _icon(request: Request) -> Response:
    name = request.url.path.removeprefix("/")
    return _answer(await asyncio.to_thread(_frontend(request).icon, name, **_wishes(request)))


for _name in ICONS:
    router.add_api_route(f"/{_name}", _icon, methods=_READS)


@public_router.get("/config", summary="What the studio needs", response_model=studio_answers.StudioConfig)
async def config(ctx: ContextDep) -> dict[str, Any]:
    """Answer where people sign in, what creates and speech cost by list price, and the limits in force."""
    settings = ctx.settings
    embedded = settings.auth_verifier == "embedded"
    return {
        "auth": {
            "url": "" if embedded else settings.supabase_url.rstrip("/"),
            "key": EMBEDDED_KEY if embedded else settings.supabase_publishable_key,
        },
        # Whether a Supabase project takes new people is its own setting: it refuses by itself.
        "sign_up": True,
        "prices": {
            "design_create_microusd": pricing.create_prices(Operation.DESIGN),
            "clone_create_microusd": pricing.create_prices(Operation.ENROLL),
            "per_10k_chars_microusd": pricing.speech_prices(),
        },
        "limits": {
            "clone_bytes": references.MAX_UPLOAD_BYTES,
            "design_text_chars": designs.MAX_TEXT_CHARS,
            "design_description_chars": designs.MAX_INSTRUCT_CHARS,
            "max_active_generations": settings.max_active_generations,
            "max_streams": settings.max_active_streams,
            "clone_consent_required": settings.require_clone_consent,
        },
    }


def _frontend(request: Request) -> Frontend:
    frontend: Frontend = request.app.state.frontend
    return frontend


def _wishes(request: Request) -> dict[str, str]:
    return {
        "accept_encoding": request.headers.get("accept-encoding", ""),
        "if_none_match": request.headers.get("if-none-match", ""),
    }


def _answer(served: Served) -> Response:
    return Response(served.body, status_code=served.status, headers=dict(served.headers))
