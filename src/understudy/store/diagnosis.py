"""What a database server says of itself, for whoever looks for what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row
from pydantic import SecretStr

from understudy.errors import StoreUnavailableError

CONNECT_TIMEOUT_S = 5

_ASK = """
    select current_setting('server_version_num')::int as version_num,
           current_setting('server_version') as version,
           current_user::text as login,
           clock_timestamp() as now,
           array(select wanted from unnest(%s::text[]) as wanted
                 where not exists (select 1 from pg_roles where rolname = wanted)
                    or not pg_has_role(current_user, wanted, 'MEMBER')) as unusable_roles
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server as a login sees it.

    Parameters
    ----------
    version_num
        As Postgres counts: 150004 is 15.4.
    now
        The server's clock, UTC.
    unusable_roles
        Of the roles asked for, those that are missing or that the login may not act as.
    """

    version_num: int
    version: str
    login: str
    now: datetime
    unusable_roles: list[str]


async def ask_server(url: SecretStr, roles: tuple[str, ...]) -> ServerFacts:
    """Ask a server about itself.

    Raises
    ------
    StoreUnavailableError
        With the server's own reason; never with the password.
    """
    try:
        async with await psycopg.AsyncConnection.connect(
            url.get_secret_value(),
            autocommit=True,
            application_name="understudy-doctor",
            connect_timeout=CONNECT_TIMEOUT_S,
        ) as conn:
            cursor = conn.cursor(row_factory=class_row(ServerFacts))
            await cursor.execute(_ASK.encode(), (list(roles),))
            facts = await cursor.fetchone()
    except psycopg.Error as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreUnavailableError(f"The database cannot be reached: {reason}") from None
    assert facts is not None  # noqa: S101  (a SELECT without FROM gives one row)
    return facts
