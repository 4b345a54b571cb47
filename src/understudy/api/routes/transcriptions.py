"""Transcription: a route of the contract that this server has no transcriber for."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends

from understudy.api.auth import AuthenticatedRoute, bearer_scheme
from understudy.errors import UnderstudyError

router = APIRouter(
    prefix="/api",
    tags=["transcriptions"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)

#: Described by hand: declared as a parameter, 50 MB would be read only to be thrown away.
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "audio": {
                            "type": "string",
                            "format": "binary",
                            "description": "WAV, MP3 or M4A, at most 50 MB.",
                        }
                    },
                    "required": ["audio"],
                }
            }
        }
    }
}


class TranscriptionNotConfiguredError(UnderstudyError):
    """Transcription is not configured on this server."""

    code = "transcription_not_configured"
    status = 503


@router.post("/transcriptions", summary="Write down what a recording says", openapi_extra=_FORM)
async def transcribe() -> None:
    """Refuse: `GET /api/languages` says `transcription.enabled: false`."""
    raise TranscriptionNotConfiguredError
