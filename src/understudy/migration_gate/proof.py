"""The proof: on a scratch database, everything that was in the catalog before a file is in it after.

What the parser cannot see, a DO block that builds its statements for one, cannot hide from the catalog. What
was added counts too where it narrows what old code may do; a statement in plain sight must have said so.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from understudy.store import catalog, drift, migrations
from understudy.store.catalog import Catalog, Entry
from understudy.store.migrations import Migration

_LABEL = re.compile(r"'(?:[^']|'')*'")
#: Kinds that, new on something old, may stop old code; and what a statement that says so touches.
_NARROWING = {
    "constraint": frozenset({"constraint", "trigger"}),
    "policy": frozenset({"policy"}),
    "trigger": frozenset({"trigger"}),
    "grant": frozenset({"grant"}),
    "index": frozenset({"index"}),
}
#: Statements that may change an entry of a kind in plain sight.
_CHANGED_BY = {
    "table": {"table", "partition", "constraint"},
    "view": {"view", "table"},
    "materialized view": {"table"},
    "function": {"function"},
    "column": {"column", "constraint"},
    "constraint": {"constraint", "trigger"},
    "trigger": {"trigger"},
    "enum": {"type"},
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a file is not purely additive, as the catalog shows it.

    Parameters
    ----------
    lost
        Something is gone or refused, whatever the file says.
    kind, about
        What a statement in plain sight would have touched: ``("policy", "public.voices")``.
    """

    what: str
    lost: bool
    kinds: frozenset[str]
    about: str

    def told_by(self, touched: Collection[tuple[str, str]]) -> bool:
        """Whether the file says it in plain sight."""
        about = self.about.split("(", 1)[0]
        names = {about, f"public.{about}", f"everything in {about.split('.', 1)[0]}"}
        return any(kind in self.kinds and name.split("(", 1)[0] in names for kind, name in touched)


def differences(before: Catalog, after: Catalog) -> list[Difference]:
    """How ``after`` does not just add to ``before``; none where ``before`` is a subset, not narrowed."""
    old = {entry.label: entry for entry in before.entries}
    new = {entry.label: entry for entry in after.entries}
    lost = {old[label].name for label in old.keys() - new.keys()}
    found = [
        Difference(f"{entry.label} is lost", True, frozenset({"drop"}), entry.name)
        for label, entry in sorted(old.items())
        if label not in new and entry.parent not in lost
    ]
    for label, entry in sorted(old.items()):
        if label in new and new[label].definition != entry.definition and not _grown(entry, new[label]):
            found.append(_changed(entry, new[label]))
    return found + [
        one for label, entry in sorted(new.items()) if label not in old for one in _added(entry, old)
    ]


def _grown(old: Entry, new: Entry) -> bool:
    """Whether an enum only got more labels: the old ones in their old order."""
    if old.kind != "enum":
        return False
    labels = iter(_LABEL.findall(new.definition))
    return all(label in labels for label in _LABEL.findall(old.definition))


def _changed(old: Entry, new: Entry) -> Difference:
    about = old.parent if old.kind in {"column", "constraint", "trigger", "policy", "index"} else old.name
    lost = old.kind in {"policy", "domain", "sequence", "grant"} or (
        "row security on" in old.definition and "row security on" not in new.definition
    )
    what = f"{old.label} was `{_short(old.definition)}` and is `{_short(new.definition)}`"
    return Difference(what, lost, frozenset(_CHANGED_BY.get(old.kind, ())), about)


def _added(entry: Entry, old: dict[str, Entry]) -> Iterator[Difference]:
    names = {one.name for one in old.values()}
    if entry.kind == "function":
        name = entry.name.split("(", 1)[0]
        if any(one.kind == "function" and one.name.split("(", 1)[0] == name for one in old.values()):
            # Nothing in sight says so: to the statement it is a new function like any other.
            what = f"{entry.label} is a second one of its name: old code's calls may be ambiguous"
            yield Difference(what, False, frozenset(), name)
    elif entry.parent in names and entry.kind == "column":
        text = entry.definition
        if "not null" in text and " default " not in text and "generated " not in text:
            what = f"{entry.label} is `{text}`: old code's rows are refused"
            yield Difference(what, True, frozenset({"column"}), entry.parent)
    elif entry.parent in names and entry.kind in _NARROWING:
        if entry.kind == "index" and not entry.definition.startswith("CREATE UNIQUE"):
            return
        what = f"{entry.label} is new on something that was there: `{_short(entry.definition)}`"
        yield Difference(what, False, _NARROWING[entry.kind], entry.parent)


async def prove(
    url: SecretStr, files: Sequence[Migration], judged: Collection[str]
) -> dict[str, list[Difference]]:
    """Apply ``files`` in order on a scratch database at ``url``'s server; compare around each judged one.

    Returns
    -------
    dict
        By version of the judged files.

    Raises
    ------
    ScratchRefusedError
        The role may not create a database.
    MigrationError
        A file failed.
    """
    found: dict[str, list[Difference]] = {}
    async with drift.scratch_database(url) as scratch:
        with tempfile.TemporaryDirectory(prefix="understudy-migrations-") as folder:
            place = Path(folder)
            before: Catalog | None = None
            for migration in files:
                if before is None and migration.version in judged:
                    await migrations.migrate(scratch, place, scratch=True)
                    before = await _look(scratch)
                (place / migration.file_name).write_bytes(migration.text.encode())
                if before is None or migration.version not in judged:
                    before = None
                    continue
                await migrations.migrate(scratch, place, scratch=True)
                after = await _look(scratch)
                found[migration.version] = differences(before, after)
                before = after
    return found


async def _look(url: SecretStr) -> Catalog:
    async with await migrations.connect_owner(url) as conn:
        return await catalog.snapshot(conn, await catalog.all_schemas(conn), as_it_is=True)


def _short(definition: str) -> str:
    line = " ".join(definition.split())
    return line if len(line) <= 120 else f"{line[:117]}..."
