"""Alerts from outside: Alertmanager's webhook, kept in a durable inbox, told as findings that ask a person.

An alert opens or joins an incident and never closes one: a "resolved" that got lost, or came too early, must
not end what it did not begin (facts/restoration.md 2.8).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from understudy.clock import Clock
from understudy.errors import PayloadTooLargeError, ValidationError
from understudy.logs import Redactor
from understudy.plain_text import plain_text
from understudy.restoration.playbook.checks import checks_of as checks_in
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.settings import ProviderName
from understudy.store.guard import AlertRow, GuardStore
from understudy.store.journal import digest

#: Alertmanager repeats a firing alert every 4 h and groups for up to 5 min; longer unheard, it is over.
FIRES_FOR = timedelta(hours=4, minutes=15)
BODY_LIMIT = 4 * 1024 * 1024
#: Alerts of one delivery that are looked at; the rest of a storm is counted.
BATCH_LIMIT = 500
ROWS_KEPT = 2000
#: Alerts that become a finding of their own within an hour; the rest is one more finding.
FINDINGS_TOLD = 20
_TOLD_WITHIN = timedelta(hours=1)
#: Family and check of the finding that is the rest, as its key begins.
SUMMARY_CHECK = "outside_alert/more/"
_PROVIDERS: frozenset[str] = frozenset(get_args(ProviderName))
_FORGOTTEN_AFTER = timedelta(days=7)
_OVERFLOW_TOLD_FOR = timedelta(hours=1)
_OVERFLOW = "alerts_overflow"
#: Up to when alerts were received that an incident has been told of by their number only.
_SUMMED = "alerts_summed_until"

#: A family and a check, or no check, to the check's name and cures; None where the policy has no such thing.
CheckOf = Callable[[str, str | None], tuple[str, tuple[ActionName, ...]] | None]


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one delivery.

    Parameters
    ----------
    truncated
        Alerts that Alertmanager itself left out of it.
    left_out
        Alerts that were not kept: the inbox is full, or the delivery was too large.
    """

    firing: int
    resolved: int
    truncated: int
    left_out: int


def checks_of(playbook: Playbook) -> CheckOf:
    """Return what finds a check in the policy."""

    def find(family: str, check: str | None) -> tuple[str, tuple[ActionName, ...]] | None:
        if family not in type(playbook.triggers).model_fields:
            return None
        known = dict(checks_in(getattr(playbook.triggers, family)))
        name = check if check is not None else next(iter(known), None)
        return (name, tuple(known[name].cures)) if name in known and name is not None else None

    return find


class AlertInbox:
    """Takes alerts in and tells what of them is pending.

    Parameters
    ----------
    checks
        Finds what a label ``trigger`` (and ``check``) means; an alert that names nothing known is told as
        ``outside_alert`` and has no cure.
    """

    def __init__(
        self, store: GuardStore, clock: Clock, checks: CheckOf, *, redactor: Redactor | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._checks = checks
        self._redactor = redactor or Redactor()

    # --- in -------------------------------------------------------------------------------------------------

    def receive(self, raw: bytes) -> Received:
        """Take in one delivery of Alertmanager's webhook, version 4.

        Raises
        ------
        ValidationError
            It is none; says what is wrong where.
        PayloadTooLargeError
            It has more than :data:`BODY_LIMIT` bytes.
        """
        if len(raw) > BODY_LIMIT:
            raise PayloadTooLargeError(f"A delivery may have {BODY_LIMIT} bytes; set max_alerts lower.")
        body = _parsed(raw)
        alerts = [self._alert(index, item) for index, item in enumerate(body["alerts"][:BATCH_LIMIT])]
        left_out = max(0, len(body["alerts"]) - BATCH_LIMIT)
        truncated = body["truncatedAlerts"]
        now = self._clock.now()
        self._store.alerts.forget(before=now - _FORGOTTEN_AFTER)
        left_out += self._store.alerts.receive(alerts, now=now, live_since=now - FIRES_FOR, room=ROWS_KEPT)
        if truncated or left_out:
            lost = {"at": now.isoformat(), "truncated": truncated, "left_out": left_out}
            self._store.remember(_OVERFLOW, json.dumps(lost))
        resolved = sum(alert["status"] == "resolved" for alert in alerts)
        return Received(len(alerts) - resolved, resolved, truncated, left_out)

    def _alert(self, index: int, item: Any) -> dict[str, Any]:
        where = f"alerts[{index}]"
        if not isinstance(item, dict):
            raise ValidationError(f"{where} is not an object.")
        if item.get("status") not in {"firing", "resolved"}:
            raise ValidationError(f"{where}.status is neither firing nor resolved.")
        labels = self._texts(item.get("labels"), f"{where}.labels", longest=200)
        annotations = self._texts(item.get("annotations", {}), f"{where}.annotations", longest=500)
        fingerprint = item.get("fingerprint") or digest(labels)[:16]
        if not isinstance(fingerprint, str) or len(fingerprint) > 128:
            raise ValidationError(f"{where}.fingerprint is not a text of up to 128 characters.")
        return {
            "fingerprint": plain_text(encodable(fingerprint, f"{where}.fingerprint")),
            "starts_at": _time(item.get("startsAt"), f"{where}.startsAt"),
            "status": item["status"],
            "labels": labels,
            "annotations": annotations,
            "group": _group(labels),
        }

    def _texts(self, value: Any, where: str, *, longest: int) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise ValidationError(f"{where} is not an object of texts.")
        kept = list(value.items())[:40]
        return {
            _shown(name, where)[:100]: self._redactor(_shown(text, where))[:longest] for name, text in kept
        }

    # --- out ------------------------------------------------------------------------------------------------

    def pending_findings(self, now: datetime) -> tuple[Finding, ...]:
        """Return what fires, as findings in mode ``pause``.

        :data:`FINDINGS_TOLD` an hour become findings of their own, the newest first, and stay such until they
        end; the rest of a storm is one finding. An alert that was resolved before its finding was
        :meth:`taken` is among them: that it fired is told.
        """
        episodes: dict[tuple[str, str], list[AlertRow]] = {}
        for row in self._store.alerts.pending(live_since=now - FIRES_FOR):
            episodes.setdefault((row.group, row.episode), []).append(row)
        summed_until = self._summed_until()
        told, new, summed = [], [], []
        for rows in episodes.values():
            if any(row.taken_at for row in rows):
                told.append(rows)
            elif summed_until is None or rows[0].first_seen_at > summed_until:
                new.append(rows)
            elif any(row.status == "firing" for row in rows):
                summed.append(rows)
        new.sort(key=lambda rows: rows[0].first_seen_at, reverse=True)
        taken = self._store.alerts.episodes_taken(since=now - _TOLD_WITHIN)
        room = max(0, FINDINGS_TOLD - taken)
        findings = [self._finding(rows, now) for rows in (*new[:room], *told)]
        if rest := [*new[room:], *summed]:
            findings.append(_many(rest, now))
        return tuple(findings)

    def _summed_until(self) -> datetime | None:
        kept = self._store.meta(_SUMMED)
        return datetime.fromisoformat(kept) if kept else None

    def _finding(self, rows: Sequence[AlertRow], now: datetime) -> Finding:
        first = rows[0]
        name = _name(first.labels)
        trigger, check = "outside_alert", _plain(name).lower()
        cures: tuple[ActionName, ...] = ()
        known = self._checks(first.labels.get("trigger", ""), first.labels.get("check"))
        if known is not None:
            trigger, check, cures = first.labels["trigger"], known[0], known[1]
        summary = next(
            (first.annotations[key] for key in ("summary", "description") if first.annotations.get(key)),
            "no summary",
        )
        firing = sum(row.status == "firing" for row in rows)
        return _finding(
            trigger=trigger,
            check=check,
            cures=cures,
            subject=f"{_plain(name)}@{first.episode[:19]}",
            provider=_provider(first.labels),
            rows=rows,
            now=now,
            detail=f"Alertmanager: {name}: {summary} ({firing} of {len(rows)} alerts firing)",
        )

    def taken(self, findings: Iterable[Finding]) -> None:
        """Note that these findings are in an incident's journal.

        What the summary stands for was told with it: none of it becomes a finding of its own later.
        """
        for finding in findings:
            if group := finding.evidence.get("alert_group"):
                self._store.alerts.taken(
                    str(group), str(finding.evidence["alert_episode"]), at=self._clock.now()
                )
            if until := finding.evidence.get("alerts_until"):
                before = self._summed_until()
                if before is None or before < datetime.fromisoformat(until):
                    self._store.remember(_SUMMED, until)

    def alarms(self) -> dict[str, str]:
        """Say when alerts of the last hour were lost to a limit."""
        lost = json.loads(self._store.meta(_OVERFLOW) or "{}")
        if not lost or self._clock.now() - datetime.fromisoformat(lost["at"]) > _OVERFLOW_TOLD_FOR:
            return {}
        said = []
        if lost["truncated"]:
            said.append(f"Alertmanager left {lost['truncated']} out (its max_alerts)")
        if lost["left_out"]:
            said.append(f"{lost['left_out']} found no room here")
        return {
            "outside alerts": f"at {lost['at'][11:16]} UTC {' and '.join(said)}: look at Alertmanager itself"
        }

    def document(self) -> dict[str, Any]:
        """Return the newest alerts as plain data."""
        return {
            "alerts": [
                {
                    "fingerprint": row.fingerprint,
                    "starts_at": row.starts_at,
                    "status": row.status,
                    "labels": dict(row.labels),
                    "annotations": dict(row.annotations),
                    "first_seen_at": row.first_seen_at.isoformat(),
                    "last_seen_at": row.last_seen_at.isoformat(),
                    "times": row.times,
                    "taken": row.taken_at is not None,
                }
                for row in self._store.alerts.newest()
            ]
        }


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValidationError("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise ValidationError("The body is not an object.")
    if body.get("version", "4") != "4":
        raise ValidationError(f"version is {str(body['version'])[:20]!r}; this is for Alertmanager's 4.")
    if not isinstance(body.get("alerts"), list) or not body["alerts"]:
        raise ValidationError("alerts is missing, empty or no list.")
    truncated = body.get("truncatedAlerts", 0)
    if not isinstance(truncated, int) or isinstance(truncated, bool) or truncated < 0:
        raise ValidationError("truncatedAlerts is not a number of alerts.")
    return {"alerts": body["alerts"], "truncatedAlerts": truncated}


def _time(value: Any, where: str) -> str:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValidationError(f"{where} is not a time such as 2026-11-25T03:00:00Z.") from None
    if at.tzinfo is None:
        raise ValidationError(f"{where} has no time zone.")
    try:
        return at.astimezone(UTC).isoformat()
    except OverflowError:
        raise ValidationError(f"{where} is outside the years 1 to 9999 in UTC.") from None


def encodable(text: str, where: str) -> str:
    """Return ``text``; raise :class:`ValidationError` where it holds half a character (a lone surrogate)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{where} is not valid Unicode.") from None
    return text


def _shown(text: str, where: str) -> str:
    return plain_text(encodable(text, where))


def _plain(text: str) -> str:
    """Make a name that may stand in a key."""
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", text)[:60] or "unnamed"


def _name(labels: Mapping[str, str]) -> str:
    return labels.get("alertname", "unnamed")[:60]


def _provider(labels: Mapping[str, str]) -> str | None:
    """Return the provider that is named, where there is one of that name."""
    named = labels.get("provider")
    return named if named in _PROVIDERS else None


def _began(row: AlertRow, now: datetime) -> datetime:
    """When an alert began, as far as its sender is believed: no earlier than one could have fired unheard."""
    return min(max(datetime.fromisoformat(row.starts_at), row.first_seen_at - FIRES_FOR), now)


def _group(labels: Mapping[str, str]) -> str:
    parts = (labels.get("trigger"), labels.get("check"), _provider(labels))
    return "/".join(_plain(part) if part else "-" for part in (*parts, _name(labels)))


def _many(episodes: Sequence[Sequence[AlertRow]], now: datetime) -> Finding:
    rows = [row for rows in episodes for row in rows]
    names = ", ".join(list(dict.fromkeys(_name(row.labels) for row in rows))[:5])
    return _finding(
        trigger="outside_alert",
        check="more",
        cures=(),
        subject="more",
        provider=None,
        rows=rows,
        now=now,
        detail=f"Alertmanager: {len(rows)} more alerts of {len(episodes)} kinds: {names}, ...",
    )


def _finding(
    *,
    trigger: str,
    check: str,
    cures: tuple[ActionName, ...],
    subject: str,
    provider: str | None,
    rows: Sequence[AlertRow],
    now: datetime,
    detail: str,
) -> Finding:
    first = rows[0]
    about = {"alert_group": first.group, "alert_episode": first.episode}
    if subject == "more":
        about = {"alerts_until": max(row.first_seen_at for row in rows).isoformat()}
    return Finding(
        trigger=trigger,
        check=check,
        verdict=Verdict.FAIL,
        mode="pause",
        cures=cures,
        evaluated_at=now,
        detail=detail,
        provider=provider,
        subject=subject,
        first_bad_at=min(_began(row, now) for row in rows),
        evidence={
            **about,
            "alerts": [
                {"labels": dict(row.labels), "fingerprint": row.fingerprint, "starts_at": row.starts_at}
                for row in rows[:5]
            ],
        },
    )
