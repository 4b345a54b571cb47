"""The caller and their profile."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, BaseModel

from understudy.api import answers
from understudy.api.auth import (
    AuthenticatedRoute,
    CallerDep,
    ContextDep,
    authenticate,
    bearer_scheme,
    bearer_token,
)
from understudy.api.text import clean
from understudy.errors import NotFoundError, UnauthenticatedError
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.erasing import erase_account
from understudy.store import profiles
from understudy.store.api_keys import KEY_PREFIX
from understudy.store.profiles import ProfileRow

public_router = APIRouter(prefix="/api", tags=["profile"])
router = APIRouter(
    prefix="/api", tags=["profile"], route_class=AuthenticatedRoute, dependencies=[Depends(bearer_scheme)]
)

_HANDLE = re.compile(r"[A-Za-z0-9_]{3,30}")
_SIGNED_OUT: dict[str, Any] = {"signed_in": False, "user": None, "profile": None}
_URL_CHARS = 2048


def _handle(value: str) -> str:
    if not _HANDLE.fullmatch(value):
        raise ValueError("Handle must be 3 to 30 letters, digits or underscores.")
    return value


def _display_name(value: str) -> str:
    stripped = clean(value).strip()
    if not 1 <= len(stripped) <= 100:
        raise ValueError("Display name must have 1 to 100 characters.")
    return stripped


def _avatar_url(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(clean(value))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or len(value) > _URL_CHARS or any(character.isspace() for character in value):
        raise ValueError("Avatar URL must be an http or https URL.")
    return value


class ProfileChanges(BaseModel):
    """Body of ``PATCH /profile``; a field that is absent stays as it is."""

    handle: Annotated[str, AfterValidator(_handle)] = ""
    display_name: Annotated[str, AfterValidator(_display_name)] = ""
    avatar_url: Annotated[str | None, AfterValidator(_avatar_url)] = None


@public_router.get(
    "/me", summary="Who am I?", response_model=answers.Me, dependencies=[Depends(bearer_scheme)]
)
async def me(request: Request, ctx: ContextDep) -> dict[str, Any]:
    """Answer the caller and their profile, or ``signed_in: false`` without a valid token."""
    try:
        caller = await authenticate(request)
        profile = await _own_profile(ctx, caller, may_make=not ctx.freeze.frozen)
    except UnauthenticatedError:
        return _SIGNED_OUT
    return {"signed_in": True, "user": {"id": str(caller.user_id)}, "profile": profile}


@router.delete("/me", summary="Erase my account", response_model=answers.Erased)
async def erase_me(ctx: ContextDep, caller: CallerDep, request: Request) -> dict[str, Any]:
    """Remove the caller's voices, generations, tasks, audio, sessions, keys and account, for good.

    Only a signed-in person may: a program's API key that leaked must not be able to.
    """
    if bearer_token(request).startswith(KEY_PREFIX):
        raise UnauthenticatedError("An API key may not erase the account; sign in to do so.")
    erased = await erase_account(ctx.database, ctx.objects, ctx.clock, caller.user_id, actor="tenant")
    return {
        "erased": True,
        "user_id": str(erased.user_id),
        "erased_at": erased.completed_at,
        "counts": erased.counts,
        "provider_voices": erased.provider_voices,
    }


@router.patch("/profile", summary="Change my profile", response_model=answers.ChangedProfile)
async def change_profile(ctx: ContextDep, caller: CallerDep, body: ProfileChanges) -> dict[str, ProfileRow]:
    """Change the fields that are given; 400 when none is."""
    changes = body.model_dump(exclude_unset=True)
    await _own_profile(ctx, caller, may_make=True)
    async with ctx.database.service() as conn:
        return {"profile": await profiles.update_profile(conn, caller.user_id, changes)}


async def _own_profile(ctx: SpeechContext, caller: Caller, *, may_make: bool) -> ProfileRow | None:
    """Return the caller's profile, made on first sight unless writes are frozen.

    Raises
    ------
    UnauthenticatedError
        The account was deleted.
    """
    async with ctx.database.tenant(caller.user_id) as conn:
        found = await profiles.find_profile(conn, caller.user_id)
    if found is not None or not may_make:
        return found
    try:
        async with ctx.database.service() as conn:
            await profiles.create_profile(conn, caller.user_id)
    except NotFoundError:
        raise UnauthenticatedError from None
    async with ctx.database.tenant(caller.user_id) as conn:
        found = await profiles.find_profile(conn, caller.user_id)
    if found is None:
        raise UnauthenticatedError
    return found
