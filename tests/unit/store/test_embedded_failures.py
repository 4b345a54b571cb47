"""What Postgres writes when it will not start, turned into cause and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.store.embedded.failures import explain, port_in_use, predecessor_still_ends

pytestmark = pytest.mark.unit

DATA = Path("/home/of/data")


@pytest.mark.parametrize(
    ("written", "cause", "fix"),
    [
        (
            'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use',
            "Port 5432 is in use",
            "choose another port",
        ),
        (
            'LOG:  could not bind IPv4 address "127.0.0.1": Permission denied',
            "Port 5432 may not",
            "above 1023",
        ),
        (
            'FATAL:  could not write lock file "postmaster.pid": No space left on device',
            "is full",
            "Free some",
        ),
        ("initdb: error: could not create directory: Permission denied", "may not write", "UNDERSTUDY_HOME"),
        ("Read-only file system: /home/of/data.partial", "may not write", "UNDERSTUDY_HOME"),
        (
            "initdb: error: could not look up effective user ID 1234: user does not exist",
            "a name",
            "DATABASE_URL",
        ),
        (
            "postgres: error while loading shared libraries: libz.so.1: cannot open shared object file",
            "system library libz.so.1",
            "Install it",
        ),
        (
            "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use",
            "earlier Postgres still use",
            "start again",
        ),
        ('FATAL:  lock file "postmaster.pid" already exists\nHINT: PID 77 ...', "PID 77", "Stop it"),
        ("FATAL:  something nobody foresaw", "something nobody foresaw", "did not start"),
        ("", "no message", "did not start"),
    ],
)
def test_a_failure_names_its_cause_and_a_fix(written: str, cause: str, fix: str) -> None:
    message = explain(written, data_dir=DATA, port=5432).message
    assert cause in message
    assert fix in message


def test_only_a_taken_port_and_a_dying_predecessor_are_tried_again() -> None:
    assert port_in_use("could not bind IPv4 address: Address already in use")
    assert predecessor_still_ends("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use")
    for other in ("No space left on device", "Permission denied", ""):
        assert not port_in_use(other)
        assert not predecessor_still_ends(other)
