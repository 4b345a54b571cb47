"""Synthetic probes: a canary speaks on the active and on the standby provider, and tries what it may not."""

from __future__ import annotations

from understudy.restoration.probes.lanes import Lane, lane_of, standby_of
from understudy.restoration.probes.plan import PROBE_CANARIES_FILE, Memory, Outcome, ProbePlan
from understudy.restoration.probes.runner import ProbeRunner, Role
from understudy.restoration.probes.standby import enrolments

__all__ = [
    "PROBE_CANARIES_FILE",
    "Lane",
    "Memory",
    "Outcome",
    "ProbePlan",
    "ProbeRunner",
    "Role",
    "enrolments",
    "lane_of",
    "standby_of",
]
