"""How severe an incident was, read out of its journal.

=====  ==============================================================================================
Sev 1  a tenant's data in other hands, a secret in an answer, data lost: a finding of ``cross_tenant_read``
       or ``secret_leak``, one whose first cure is a database restore, or a database restore that was begun
Sev 2  users did without: a finding of success rate, realtime failures or playback, another one of security,
       or a provider switch or code rollback that was begun; an alert from outside that says ``critical``
Sev 3  everything else: cost, invariants that were repaired, what only a person was asked about
=====  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.store.journal import JournalEntry

LEAKS = frozenset({"cross_tenant_read", "secret_leak"})
FELT_BY_USERS = frozenset({"success_rate", "realtime_failures", "playback", "security"})
_SWITCHES = frozenset({"env_switch", "code_rollback"})
_RESTORE = "database_restore"


def severity_of(entries: Sequence[JournalEntry]) -> int:
    """Return 1, 2 or 3 for an incident's journal; 3 for an empty one."""
    return min((_of(entry) for entry in entries), default=3)


def _of(entry: JournalEntry) -> int:
    if entry.kind == "begun":
        action = entry.body.get("action")
        return 1 if action == _RESTORE else 2 if action in _SWITCHES else 3
    finding = entry.body.get("finding")
    return _of_finding(finding) if isinstance(finding, Mapping) else 3


def _of_finding(finding: Mapping[str, Any]) -> int:
    cures = finding.get("cures") or [None]
    if finding.get("check") in LEAKS or cures[0] == _RESTORE:
        return 1
    labels = (finding.get("evidence") or {}).get("labels") or {}
    if finding.get("trigger") in FELT_BY_USERS or labels.get("severity") == "critical":
        return 2
    return 3
