"""Expiring links to audio: as a redirect, or as JSON for a page, whose player cannot send a token."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from understudy.api import answers
from understudy.api.identifiers import absolute
from understudy.speech.context import SpeechContext

Redirect = Annotated[bool, Query(description="`false` answers 200 with the link in place of 302.")]

#: What a route of a link answers besides its 302, for the document.
LINKED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": answers.AudioLink, "description": "The link, with `redirect=false`."}
}


def link_to(request: Request, ctx: SpeechContext, url: str, *, redirect: bool) -> Response:
    """Answer an expiring URL in the way that was asked for."""
    if redirect:
        return RedirectResponse(url, status_code=302)
    link = {"url": absolute(request, url), "expires_in_s": ctx.settings.object_url_lifetime_s}
    return JSONResponse(link, headers={"Cache-Control": "no-store"})
