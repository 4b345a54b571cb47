"""Postgres addresses: the database that one names, and the same server with another."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from understudy.errors import ConfigurationError


def database_of(url: SecretStr) -> str:
    """Name of the database at ``url``.

    Raises
    ------
    ConfigurationError
        It is no Postgres address.
    """
    return str(parts_of(url).get("dbname") or "")


def with_database(url: SecretStr, name: str) -> SecretStr:
    """Return the same server and role with another database; a URL stays a URL."""
    text = url.get_secret_value()
    if "://" in text:
        parts = urlsplit(text)
        return SecretStr(parts._replace(path=f"/{quote(name, safe='')}").geturl())
    return SecretStr(make_conninfo(text, dbname=name))


def role_of(url: SecretStr) -> str:
    """Name of the role that ``url`` signs in as."""
    return unquote(str(parts_of(url).get("user") or ""))


def parts_of(url: SecretStr) -> dict[str, str]:
    """Return the connection parameters by libpq's names; the password is among them.

    Raises
    ------
    ConfigurationError
        It is no Postgres address; the message does not quote it.
    """
    try:
        found = conninfo_to_dict(url.get_secret_value())
    except ProgrammingError:
        raise ConfigurationError("The database's address cannot be read; see DATABASE_URL.") from None
    return {name: str(value) for name, value in found.items() if value is not None}
