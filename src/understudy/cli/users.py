"""``understudy users``: accounts of the embedded issuer."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from understudy.api.errors import GoTrueError
from understudy.api.gotrue import require_password, valid_email
from understudy.api.passwords import PasswordHasher
from understudy.cli.account import account
from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, ConflictError, ValidationError
from understudy.logs import configure_logging
from understudy.store import operators, users

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

PASSWORD_BYTES = 12


@app.callback()
def group() -> None:
    """Accounts of the embedded issuer."""
    configure_logging("users", level="warning")


@app.command("add", epilog="Example: understudy users add --email ann@example.org")
@reports_errors
def add(
    *,
    email: Annotated[str, typer.Option("--email", help="Address to sign in with.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
    operator: Annotated[
        bool, typer.Option("--operator", help="Let it operate the service (see `understudy operators`).")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make an account; its password is chosen here and [bold]shown once[/], unless you bring one.

    A program needs no password: give its account a key with [bold]understudy keys create[/].
    """
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = given if given is not None else secrets.token_urlsafe(PASSWORD_BYTES)
    made = asyncio.run(_add(home, email, password, operator=operator))
    if as_json:
        print_json(made if password_stdin else {**made, "password": password})
        return
    console.print(f"Account [bold]{made['id']}[/] of {made['email']}", highlight=False)
    if not password_stdin:
        console.print(f"Password, shown only now: {password}", highlight=False, markup=False)


async def _add(home: Path, email: str, password: str, *, operator: bool) -> dict[str, Any]:
    settings = installed_settings(home)
    if settings.auth_verifier != "embedded":
        raise ConfigurationError(
            f"AUTH_VERIFIER={settings.auth_verifier}: make accounts at the issuer, {settings.supabase_url}."
        )
    try:
        address = valid_email(email)
        require_password(password)
    except GoTrueError as error:
        raise ValidationError(error.message) from None
    hashed = await PasswordHasher().hash(password)
    async with installed_database(settings, command="users") as database, database.service() as conn:
        user = await users.create_user(
            conn, email=address, encrypted_password=hashed, user_metadata={}, at=SystemClock().now()
        )
        if user is not None and operator:
            await operators.grant_operator(conn, user.id, actor=f"person:{account()}")
    if user is None:
        raise ConflictError(f"There is an account of {address} already.")
    return {"id": str(user.id), "email": address, "operator": operator}
