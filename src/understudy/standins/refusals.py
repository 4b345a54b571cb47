"""How the stand-in of DashScope says no."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web


class RefusalError(Exception):
    """What the vendor answers instead of a result; an answer on the wire, not a failure of ours.

    Parameters
    ----------
    wire_code
        The vendor's code (facts/dashscope.md section 7).
    wire_status
        HTTP status; unused on a WebSocket.
    fatal
        Whether a WebSocket session ends with it.
    """

    def __init__(self, wire_code: str, message: str, *, wire_status: int = 400, fatal: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.wire_code = wire_code
        self.wire_status = wire_status
        self.fatal = fatal


def invalid_parameter(message: str) -> RefusalError:
    """The catch-all for a bad field."""
    return RefusalError("InvalidParameter", message)


def invalid_key() -> RefusalError:
    """Wrong, missing and wrong-lane keys are told apart by nobody: all are this."""
    return RefusalError("InvalidApiKey", "Invalid API-key provided.", wire_status=401)


def access_denied() -> RefusalError:
    """A key of a workspace that was not granted the model."""
    return RefusalError("Model.AccessDenied", "Model access denied.", wire_status=403)


def internal_error() -> RefusalError:
    """Their fault, whatever it is."""
    return RefusalError("InternalError", "An internal error has occurred.", wire_status=500)


def model_not_found() -> RefusalError:
    """A model that is misspelt, or not for this address."""
    return RefusalError("ModelNotFound", "The requested model does not exist.", wire_status=404)


def refusal_response(refusal: RefusalError) -> web.Response:
    """The flat error body."""
    return answer_response(
        {"code": refusal.wire_code, "message": refusal.message}, status=refusal.wire_status
    )


def answer_response(fields: dict[str, Any], *, status: int = 200) -> web.Response:
    """An answer with the request id that each one has."""
    return web.json_response({**fields, "request_id": str(uuid.uuid4())}, status=status)
