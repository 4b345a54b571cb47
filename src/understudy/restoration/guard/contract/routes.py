"""Every route of the guard's API with what it takes and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel

from understudy.restoration.guard.contract import charts, incidents, operations, status
from understudy.restoration.orders import ORDERS
from understudy.restoration.triggers.cures import ActionName


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query."""

    name: str
    schema: dict[str, Any]
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Parameters
    ----------
    answer
        Model of the body, or a media type where it is no JSON.
    key
        Whether it wants an operator's key.
    """

    method: Literal["GET", "POST"]
    path: str
    summary: str
    answer: type[BaseModel] | str
    body: type[BaseModel] | None = None
    status: int = 200
    query: tuple[Query, ...] = ()
    key: bool = True


def _whole(name: str, default: int, lowest: int, highest: int, description: str = "") -> Query:
    schema = {"type": "integer", "default": default, "minimum": lowest, "maximum": highest}
    return Query(name, schema, description)


_OFFSET = _whole("offset", 0, 0, 1_000_000)
_STATE = Query(
    "state",
    {
        "type": "string",
        "enum": ["OPEN", "RESTORING", "MITIGATED", "RECOVERED", "CLOSED", "HOLD", "FROZEN", "ABORTED"],
    },
)
_ORDERED = {
    "abort": "Stop at the next consistent side, and end it",
    "hold": "Let nothing new begin",
    "resume": "Go on",
}

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", "Whether the guard looks; 503 when it does not", status.Health, key=False),
    Route("GET", "/metrics", "Metrics, for Prometheus", "text/plain"),
    Route("GET", "/openapi.json", "This document", "application/json", key=False),
    Route("GET", "/me", "Whose key this is", status.Me),
    Route("GET", "/status", "Everything the guard knows now", status.Status),
    Route("GET", "/findings", "Findings of the last look, by family", status.Findings),
    Route("GET", "/alarms", "What stands wrong", status.Alarms),
    Route("GET", "/outbox", "Notifications that wait and those given up", status.Outbox),
    Route("GET", "/alerts", "Alerts of other systems", status.Alerts),
    Route(
        "POST",
        "/alerts/alertmanager",
        "Take a delivery of Alertmanager's webhook, version 4",
        status.AlertsReceived,
    ),
    Route(
        "GET",
        "/events",
        "Server-sent events: journal (JournalEntry; the id is its number), status (StatusEvent), "
        "beat (BeatEvent, every 5 s)",
        "text/event-stream",
        query=(
            Query(
                "after",
                {"type": "integer", "minimum": 0},
                "Number of the last entry that is known; Last-Event-ID says the same",
            ),
        ),
    ),
    Route(
        "GET",
        "/charts",
        "Calls over time, verdicts of the windows, and what happened",
        charts.Charts,
        query=(_whole("minutes", 60, 5, 1440),),
    ),
    # --- incidents ---
    Route(
        "GET",
        "/incidents",
        "Incidents, newest first",
        incidents.IncidentPage,
        query=(_STATE, _whole("limit", 50, 1, 200), _OFFSET),
    ),
    Route("GET", "/incidents/{id}", "One incident with its journal", incidents.IncidentDetail),
    Route("GET", "/incidents/{id}/timeline", "The journal as sentences", incidents.Timeline),
    Route("GET", "/incidents/{id}/checklist", "The post-rollback checklist", incidents.Checklist),
    Route(
        "GET",
        "/incidents/{id}/report",
        "The report; as JSON with format=json",
        "text/markdown",
        query=(Query("format", {"type": "string", "enum": ["json"]}),),
    ),
    Route("POST", "/incidents/{id}/ack", "Take it on", incidents.JournalEntry),
    Route("POST", "/incidents/{id}/note", "Write down what you know", incidents.JournalEntry, incidents.Note),
    Route(
        "POST",
        "/incidents/{id}/close",
        "Close it by hand, with a reason",
        incidents.Incident,
        incidents.Reason,
    ),
    Route("POST", "/incidents/{id}/approve", "Agree to a plan", incidents.JournalEntry, incidents.Approval),
    *(
        Route("POST", f"/incidents/{{id}}/{order}", _ORDERED[order], incidents.JournalEntry, incidents.Reason)
        for order in ORDERS
    ),
    # --- playbook ---
    Route("GET", "/playbook", "The policy in force, as data", "application/json"),
    Route("GET", "/playbook/page", "The policy as a page", operations.PlaybookPage),
    Route("GET", "/playbook/simulation", "The rules over synthetic traffic", operations.Simulation),
    Route(
        "POST",
        "/playbook/simulation",
        "Begin a simulation",
        operations.JobStarted,
        operations.MaySayWhy,
        status=202,
    ),
    # --- cutover ---
    Route("GET", "/cutover", "Stage, sample, who stays out, what comes next", operations.CutoverStatus),
    Route(
        "POST",
        "/cutover/next",
        "Go to the next stage",
        operations.CutoverMoved,
        operations.CutoverOrder,
    ),
    Route(
        "POST",
        "/cutover/pause",
        "Keep the share as it is",
        operations.CutoverMoved,
        operations.Why,
    ),
    Route(
        "POST",
        "/cutover/resume",
        "Let stages follow again",
        operations.CutoverMoved,
        operations.Why,
    ),
    Route(
        "POST",
        "/cutover/return",
        "Bring everybody back at once",
        operations.CutoverReturned,
        operations.Why,
    ),
    Route("POST", "/mode/thaw", "Let moves away be made again", operations.Thawed, operations.Why),
    # --- known-good, backups, drills, jobs ---
    Route(
        "GET",
        "/known-good",
        "Known-good records, newest first",
        operations.KnownGood,
        query=(_whole("limit", 20, 1, 200),),
    ),
    Route("GET", "/backups", "Backups, newest first", operations.Backups),
    Route("POST", "/backups", "Make a backup", operations.JobStarted, operations.Why, status=202),
    Route(
        "POST",
        "/backups/{id}/verify",
        "Prove a backup",
        operations.JobStarted,
        operations.MaySayWhy,
        status=202,
    ),
    Route("GET", "/drills", "Scenarios and earlier drills", operations.Drills),
    Route("GET", "/drills/reports/{name}", "The report of one, by its file's name", operations.DrillReport),
    Route(
        "POST",
        "/drills",
        "Drill on a throw-away service",
        operations.JobStarted,
        operations.DrillOrder,
        status=202,
    ),
    Route("GET", "/jobs", "Jobs, newest first", operations.Jobs),
    Route("GET", "/jobs/{id}", "One job", operations.Job),
    Route("POST", "/jobs/{id}/stop", "Stop a job", operations.Job, operations.MaySayWhy),
    # --- restorations by hand, audit ---
    Route(
        "POST",
        "/restorations",
        "Ask for a rung of the ladder; the guard that leads carries it out",
        operations.RestorationBegun,
        operations.RestorationOrder,
        status=202,
    ),
    Route(
        "GET",
        "/restorations/plan",
        "What a rung would do; changes nothing",
        operations.RestorationPlan,
        query=(
            Query("action", {"type": "string", "enum": list(get_args(ActionName))}, required=True),
            Query("incident", {"type": "string"}),
            Query("backup", {"type": "string"}),
        ),
    ),
    Route(
        "POST",
        "/restorations/probe",
        "Look whether a rung could begin; changes nothing",
        operations.RestorationProbe,
        operations.ProbeOrder,
    ),
    Route(
        "GET",
        "/audit",
        "What persons did, newest first",
        operations.Audit,
        query=(_whole("limit", 50, 1, 200), _OFFSET, Query("person", {"type": "string"})),
    ),
)
