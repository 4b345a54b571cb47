from __future__ import annotations

import json
import logging

import pytest
import structlog
from pydantic import SecretStr

from understudy.logs import REDACTED, Leaks, Redactor, configure_logging, get_logger

pytestmark = pytest.mark.unit

KEY = "0123456789abcdef0123"


@pytest.fixture(autouse=True)
def logging_as_before() -> object:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_each_line_counts_once_by_name_and_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    leaks = Leaks()
    configure_logging("api", named={"JWT_SECRET": SecretStr(KEY)}, leaks=leaks)
    log = get_logger("test_each_line_counts_once")
    log.info("twice_in_one_line", first=f"x{KEY}", nested={"deep": [KEY]})
    logging.getLogger("somebody.elses").warning("a library says %s", KEY)
    log.info("bearer", header="Bearer abcdefghijklmnop", key="sk-abcdefghijkl")
    told: list[str] = []
    leaks.attach(told.append)
    log.info("once_more", value=KEY)
    assert leaks.counts == {"JWT_SECRET": 3}
    assert told == ["JWT_SECRET"] * 3
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 4
    assert KEY not in json.dumps(lines)
    assert lines[0]["first"] == f"x{REDACTED}"
    assert lines[0]["nested"] == {"deep": [REDACTED]}
    assert lines[2]["header"] == lines[2]["key"] == REDACTED


def test_a_secret_in_a_traceback_counts(capsys: pytest.CaptureFixture[str]) -> None:
    leaks = Leaks()
    configure_logging("api", named={"JWT_SECRET": KEY}, leaks=leaks)
    try:
        raise RuntimeError(f"refused {KEY}")
    except RuntimeError:
        get_logger("test_a_secret_in_a_traceback").exception("broke")
    assert leaks.counts == {"JWT_SECRET": 1}
    assert KEY not in capsys.readouterr().err


def test_a_value_that_may_stand_anywhere_by_chance_is_redacted_but_no_leak() -> None:
    redactor = Redactor(["another"], named={"S3_SECRET_ACCESS_KEY": "minioadmin"})
    assert redactor("another minioadmin") == f"{REDACTED} {REDACTED}"
    assert redactor.seen("minioadmin another") == set()
