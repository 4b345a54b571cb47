"""The incident report for people: the playbook's template, then what stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SHORT_HASH = 12


def to_markdown(document: Mapping[str, Any]) -> str:
    """Return the report ``document`` as Markdown."""
    evidence, name = document["evidence"], _line(document["incident"])
    parts = [
        f"# Incident {name}",
        "```text\n" + "".join(f"{k}: {_line(v)}\n" for k, v in document["fields"].items()) + "```",
        "## Timeline\n\n" + _timeline(document["timeline"]),
        "## Times\n\n" + _times(document),
        "## Numbers and their evidence\n\n" + _numbers(document["numbers"]),
        "## Post-rollback verification checklist\n\n" + _checklist(document["checklist"]),
        "## Open follow-ups\n\n" + _bullets(document["follow_ups"]),
        "## Unknown\n\n" + _bullets(document["unknowns"]),
        "## Evidence\n\n"
        + _table(
            ("what", "value"),
            (
                ("journal rows", evidence["journal_rows"]),
                ("last journal row", f"{evidence['journal_last_seq']}, `{evidence['journal_last_sha256']}`"),
                ("smoke run", f"`{smoke}`" if (smoke := evidence["smoke_sha256"]) else "none"),
                ("smoke run stands in journal row", evidence["smoke_in_journal_seq"] or "none"),
                ("this report", f"`{document['sha256']}`"),
            ),
        ),
        f"Every figure and hash above is recomputed by `understudy incident verify {name}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _timeline(rows: Iterable[Mapping[str, Any]]) -> str:
    return _table(
        ("time (UTC)", "entry", "what happened", "by", "row", "sha256"),
        (
            (
                row["at"],
                f"{row['kind']} {row['step']}" if row["step"] else row["kind"],
                row["what"],
                row["actor"],
                row["seq"],
                f"`{row['sha256'][:SHORT_HASH]}`",
            )
            for row in rows
        ),
    )


def _times(document: Mapping[str, Any]) -> str:
    points = _table(("point", "time (UTC)"), ((k, v or "unknown") for k, v in document["times"].items()))
    spans = _table(
        ("interval", "from, to", "seconds"),
        (
            (item["name"], item["meaning"], "unknown" if item["seconds"] is None else item["seconds"])
            for item in document["intervals"]
        ),
    )
    return f"{points}\n\n{spans}"


def _numbers(items: Iterable[Mapping[str, Any]]) -> str:
    return _table(
        ("number", "value", "evidence", "sha256"),
        (
            (
                item["name"],
                item["value"],
                f"journal row {item['evidence']['journal_seq']}"
                if "journal_seq" in item["evidence"]
                else f"smoke check {item['evidence']['check']}",
                f"`{item['evidence']['sha256'][:SHORT_HASH]}`",
            )
            for item in items
        ),
    )


def _checklist(checklist: Mapping[str, Any] | None) -> str:
    if checklist is None:
        return "No verification is on record; nothing is ticked."
    lines = []
    for item in checklist["items"]:
        refs = ", ".join(f"{ref['check']} `{ref['sha256'][:SHORT_HASH]}`" for ref in item["evidence"])
        lines.append(f"- [{'x' if item['ok'] else ' '}] {item['sentence']}")
        lines.append(f"  {_line(item['reason'])} ({refs or 'no evidence'})")
    return "\n".join(lines)


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {_line(item)}" for item in items) or "None."


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [_row(head), "|" + "---|" * len(head)]
    lines += [_row(row) for row in rows]
    return "\n".join(lines)


def _row(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _line(value: Any) -> str:
    """One line that cannot end a code block or start another element; texts may come from a deployment."""
    text = " ".join(str(value).split()).replace("```", "'''")
    return text.replace("<", "&lt;")
