"""The embedded issuer against the vendor's own client, ``@supabase/supabase-js``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.requirement import require
from tests.integration.api.conftest import Api

pytestmark = pytest.mark.integration

VISIT = Path(__file__).parent / "supabase-js"


def missing() -> str:
    """What this machine lacks to run the client, or nothing."""
    if shutil.which("node") is None:
        return "node is not installed (20 or newer)"
    if not (VISIT / "node_modules" / "@supabase" / "supabase-js").is_dir():
        return f"the client is not installed: npm ci --prefix {VISIT.relative_to(Path.cwd())}"
    return ""


async def test_supabase_js_signs_up_in_and_out(api: Api) -> None:
    require(missing())
    process = await asyncio.create_subprocess_exec(
        "node",
        "visit.mjs",
        cwd=VISIT,
        env={"PATH": os.environ["PATH"], "SUPABASE_URL": api.base},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()[-2000:]
    seen: dict[str, Any] = json.loads(out)
    refused = {name: value for name, value in seen.items() if isinstance(value, dict)}
    assert refused == {
        "signUpTwice": {"status": 422, "code": "user_already_exists"},
        "weakPassword": {"status": 422, "code": "weak_password"},
        "wrongPassword": {"status": 400, "code": "invalid_credentials"},
        "samePassword": {"status": 422, "code": "same_password"},
        "newEmail": {"status": 422, "code": "not_implemented"},
        "sessionElsewhere": {"status": 400, "code": "refresh_token_not_found"},
        "oldPassword": {"status": 400, "code": "invalid_credentials"},
        "resetPassword": {"status": 422, "code": "not_implemented"},
        "signedOutElsewhere": {"status": 400, "code": "refresh_token_not_found"},
        "signedOut": {"status": 400, "code": "refresh_token_not_found"},
    }
    assert seen["api"] is True
    assert all(value for value in seen.values())
