# SPDX-License-Identifier: GPL-3.0-or-later
#
# Copyright (C) 2026 the Understudy contributors.
# This program is free software: you can redistribute it and/or modify it under the terms of the GNU General
# Public License as published by the Free Software Foundation, either version 3 of the License, or (at your
# option) any later version. It is distributed WITHOUT ANY WARRANTY; see <https://www.gnu.org/licenses/>.
#
# It imports pglast, which is GPL-3.0-or-later; hence this file's licence, and hence a process of its own: the
# rest of Understudy is Apache-2.0, starts this program and exchanges JSON with it (docs/decisions/0016).
"""Parse SQL as Postgres does: JSON requests on standard input, JSON answers on standard output, one a line.

Request ``{"sql": TEXT}`` gives ``{"statements": [{"start", "length", "tree"}]}``; offsets count characters,
and a length of null is "to the end". Request ``{"plpgsql": TEXT}``, one whole DO or CREATE FUNCTION
statement, gives ``{"functions": [tree]}``. What does not parse gives ``{"error": {"message", "at"}}``, ``at``
an offset or null. The first line out is ``{"parser", "postgres"}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pglast import __version__, get_postgresql_version
from pglast.parser import ParseError, parse_plpgsql_json, parse_sql_json


def _statements(text: str) -> list[dict[str, Any]]:
    encoded = text.encode()
    found = []
    for raw in json.loads(parse_sql_json(text)).get("stmts", ()):
        # libpg_query counts bytes.
        begin, length = raw.get("stmt_location", 0), raw.get("stmt_len")
        start = len(encoded[:begin].decode())
        told = len(encoded[begin : begin + length].decode()) if length else None
        found.append({"start": start, "length": told, "tree": raw["stmt"]})
    return found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request; what is wrong with the SQL is an answer too."""
    try:
        if "plpgsql" in request:
            return {"functions": json.loads(parse_plpgsql_json(request["plpgsql"]))}
        return {"statements": _statements(request["sql"])}
    except ParseError as error:
        at = error.args[1] if len(error.args) > 1 else None
        return {"error": {"message": str(error.args[0]), "at": at}}
    except (RecursionError, ValueError, UnicodeError) as error:
        return {"error": {"message": f"the parser gave up: {error}", "at": None}}


def main() -> None:
    """Serve until standard input ends."""
    write = sys.stdout.write
    postgres = ".".join(map(str, get_postgresql_version()))
    write(json.dumps({"parser": f"pglast {__version__.removeprefix('v')}", "postgres": postgres}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
