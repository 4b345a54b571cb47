"""squawk as the gate: what is shipped passes, what is dangerous or silenced does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migration_rules import ACCEPTED, ROOT, findings
from understudy.resources import migrations_dir

pytestmark = pytest.mark.integration


def test_the_shipped_migrations_pass_and_every_acceptance_is_needed() -> None:
    files = sorted(migrations_dir().glob("*.sql"))
    assert list(findings(files)) == []
    assert {name for name, _ in ACCEPTED} <= {path.name for path in files}
    assert (ROOT / ".squawk.toml").is_file()


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("alter table public.voices drop column name;", "ban-drop-column"),
        ("alter table public.voices rename column name to title;", "renaming-column"),
        ("alter table public.voices alter column text type bigint;", "changing-column-type"),
        ("alter table public.tasks add column must text not null;", "adding-required-field"),
        ("create index an_idx on public.tasks (user_id);", "require-concurrent-index-creation"),
        ("alter tabel public.voices;", "syntax-error"),
        ("-- squawk-ignore ban-drop-column\nalter table public.voices drop column name;", "silences squawk"),
    ],
)
def test_a_dangerous_migration_fails(tmp_path: Path, statement: str, rule: str) -> None:
    path = tmp_path / "20990101000000_bad.sql"
    path.write_text(f"{statement}\n")
    assert any("20990101000000_bad.sql" in line and rule in line for line in findings([path]))
