"""The embedded server's roles, database and passwords."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.store.embedded.failures import GIVE_RIGHT

DATABASE = "understudy"
#: A restore beside puts a database of such a name in its place (understudy.store.backups.restoring).
_RESTORED = re.compile(r"understudy_r\d+")
SUPERUSER = "postgres"
OWNER_ROLE = "understudy_owner"
APP_ROLE = "understudy_app"
PASSWORDS_FILE = "postgres.passwords.json"

#: Supabase's API roles; ``service_role`` passes row level security, as it does there.
API_ROLES = (("anon", "NOBYPASSRLS"), ("authenticated", "NOBYPASSRLS"), ("service_role", "BYPASSRLS"))


@dataclass(frozen=True, slots=True, repr=False)
class Passwords:
    """Passwords of one embedded server, made once."""

    superuser: str
    owner: str
    app: str

    def url(self, role: str, *, port: int, database: str = DATABASE) -> SecretStr:
        """Connection URL of ``role`` on loopback."""
        password = {SUPERUSER: self.superuser, OWNER_ROLE: self.owner, APP_ROLE: self.app}[role]
        return SecretStr(f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}")


def is_product_database(name: str) -> bool:
    """Whether ``name`` is the product's database of an embedded server: the first one, or a restored one."""
    return name == DATABASE or _RESTORED.fullmatch(name) is not None


def load_passwords(home: Path, *, data_exists: bool) -> Passwords:
    """Read the passwords of ``home``, or make and keep them (0600).

    Raises
    ------
    ConfigurationError
        There is data, but its passwords are gone or unreadable.
    """
    path = home / PASSWORDS_FILE
    try:
        if path.is_file():
            return Passwords(**json.loads(path.read_text()))
        if data_exists:
            raise ConfigurationError(
                f"{path} is gone, but the database it opens is there. Put the file back from a backup; or, "
                "if the data is not needed, point UNDERSTUDY_HOME to a new folder."
            )
        made = Passwords(*(secrets.token_urlsafe(24) for _ in range(3)))
        staging = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(made), file)
            file.flush()
            os.fsync(file.fileno())
        staging.rename(path)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot keep the database passwords in {path}: {error.strerror}. {GIVE_RIGHT}"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} is damaged. Put it back from a backup.") from error
    return made


async def bootstrap(passwords: Passwords, port: int, database: str = DATABASE) -> None:
    """Make roles and database where they are missing; safe to repeat.

    Passwords are sent as SCRAM verifiers, so that a failing statement cannot bring one into the server's log.
    """
    url = passwords.url(SUPERUSER, port=port, database="postgres").get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        present = {row[0] for row in await (await conn.execute("select rolname from pg_roles")).fetchall()}
        for role, bypass in API_ROLES:
            if role not in present:
                await conn.execute(f"create role {role} nologin noinherit {bypass}".encode())
        await _login_role(conn, OWNER_ROLE, passwords.owner, "createdb createrole bypassrls", present)
        await _login_role(conn, APP_ROLE, passwords.app, "noinherit nobypassrls", present)
        for role, _ in API_ROLES:
            await conn.execute(f"grant {role} to {APP_ROLE} with inherit false, set true".encode())
            await conn.execute(f"grant {role} to {OWNER_ROLE} with inherit false, set true".encode())
        name = sql.Identifier(database)
        found = await conn.execute("select 1 from pg_database where datname = %s", (database,))
        if await found.fetchone() is None:
            await conn.execute(
                sql.SQL("create database {} owner {}").format(name, sql.Identifier(OWNER_ROLE))
            )
        # By default every role may connect to every database and make temporary tables there.
        await conn.execute(sql.SQL("revoke all on database {} from public").format(name))
        await conn.execute(
            sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(APP_ROLE))
        )


async def _login_role(
    conn: psycopg.AsyncConnection, role: str, password: str, rights: str, present: set[str]
) -> None:
    verifier = conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    verb = "alter" if role in present else "create"
    await conn.execute(
        sql.SQL("{} role {} with login nosuperuser {} password {}").format(
            sql.SQL(verb), sql.Identifier(role), sql.SQL(rights), sql.Literal(verifier)
        )
    )
