"""The guard's own HTTP port: what operators read and write, there when the product is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from understudy.clock import Clock
from understudy.errors import (
    NotFoundError,
    PayloadTooLargeError,
    UnauthenticatedError,
    UnderstudyError,
    ValidationError,
)
from understudy.logs import Redactor, get_logger
from understudy.metrics import may_read
from understudy.restoration.approvals import approve
from understudy.restoration.guard.alerts import BODY_LIMIT, AlertInbox
from understudy.restoration.guard.console_parts import (
    OPERATOR,
    ConsolePart,
    body_object,
    is_open,
    number_in,
    said,
    text_in,
)
from understudy.restoration.guard.documents import (
    alarms_document,
    entry_document,
    families_document,
    incident_document,
    status_document,
    summary_document,
)
from understudy.restoration.guard.events import EventStream
from understudy.restoration.guard.heartbeat import STUCK_AFTER_S, Heartbeat
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.metering import Metering
from understudy.restoration.guard.notifying import Notifier
from understudy.restoration.guard.pages import secure
from understudy.restoration.incidents import IncidentState, acknowledge, add_note, close_by_person
from understudy.restoration.orders import ORDERS, give_order
from understudy.restoration.playbook.reporting import report_of, write_report_of
from understudy.store.guard import IncidentRow

__all__ = ["Console", "entry_document", "incident_document", "status_document"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: ``/metrics`` knows a token of its own besides the operators' keys.
OPEN_PATHS = frozenset({"/health", "/metrics"})
PAGE = 50
LONGEST_PAGE = 200

log = get_logger(__name__)


class Console:
    """Serves the guard's API.

    Every path but ``/health`` wants ``Authorization: Bearer <operator's key>``; what a request writes is
    signed with the label of its key.

    Parameters
    ----------
    inbox, notifier, heartbeat, metering
        What the guard runs beside its loop; a route whose part is missing answers 404.
    reports
        Folder that a closed incident's report is written to.
    metrics_token
        May read ``/metrics`` too.
    parts
        More routes, each group in a module of its own.
    """

    def __init__(
        self,
        guard: Guard,
        clock: Clock,
        redactor: Redactor | None = None,
        *,
        inbox: AlertInbox | None = None,
        notifier: Notifier | None = None,
        heartbeat: Heartbeat | None = None,
        metering: Metering | None = None,
        reports: Path | None = None,
        metrics_token: str = "",
        parts: Sequence[ConsolePart] = (),
    ) -> None:
        self._guard = guard
        self._store = guard.book.store
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._inbox = inbox
        self._notifier = notifier
        self._heartbeat = heartbeat
        self._metering = metering
        self._reports = reports
        self._metrics_token = metrics_token
        self._parts = tuple(parts)
        self._on_loopback = True
        self._events = EventStream(
            self._store,
            lambda: summary_document(guard, notifier, heartbeat),
            clock,
            cycle_age_s=heartbeat.age_s if heartbeat else lambda: None,
            may_listen=lambda request: self._label_of(request) is not None,
        )
        app = web.Application(middlewares=[self._guarded], client_max_size=64 * 1024)
        app.on_response_prepare.append(secure)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
                web.get("/events", self._events.serve),
                web.get("/findings", self._findings),
                web.get("/playbook", self._playbook),
                web.get("/alarms", self._alarms),
                web.get("/outbox", self._outbox),
                web.get("/alerts", self._alerts),
                web.post("/alerts/alertmanager", self._alertmanager),
                web.get("/incidents", self._incidents),
                web.get("/incidents/{id}", self._incident),
                web.get("/incidents/{id}/report", self._report),
                web.post("/incidents/{id}/ack", self._ack),
                web.post("/incidents/{id}/note", self._note),
                web.post("/incidents/{id}/close", self._close),
                web.post("/incidents/{id}/approve", self._approve),
                *(web.post(f"/incidents/{{id}}/{order}", self._order) for order in ORDERS),
                *(route for part in parts for route in part.routes()),
            ]
        )
        served = [
            (route, route.resource.canonical)
            for route in app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        ]
        self.routes = [(route.method, path) for route, path in served]
        self.open_paths = OPEN_PATHS | {path for route, path in served if is_open(route.handler)}
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> str:
        """Listen and return the address; raises :class:`OSError` when the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._on_loopback = host in {"127.0.0.1", "::1", "localhost"}
        return f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        self._events.stop()
        for part in self._parts:
            await part.close()
        await self._runner.cleanup()

    # --- who may, and how errors are told -------------------------------------------------------------------

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in OPEN_PATHS and not is_open(request.match_info.handler):
                request[OPERATOR] = self._operator(request)
            return await handler(request)
        except UnderstudyError as error:
            headers = {"Retry-After": "2"} if error.retryable else None
            return web.json_response({"detail": error.message}, status=error.status, headers=headers)
        except web.HTTPException as error:
            return web.json_response({"detail": f"{error.reason}."}, status=error.status)
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception:
            log.exception("console_failed", path=request.path)
            return web.json_response({"detail": "Something went wrong."}, status=500)

    def _operator(self, request: web.Request) -> str:
        label = self._label_of(request)
        if label is None:
            raise UnauthenticatedError("The operator's key is missing, wrong or revoked.")
        return label

    def _label_of(self, request: web.Request) -> str | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return self._store.operator(key.strip()) if scheme.lower() == "bearer" else None

    # --- reading --------------------------------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        age_s = self._heartbeat.age_s() if self._heartbeat else None
        stuck = age_s is not None and age_s > STUCK_AFTER_S
        body: dict[str, Any] = {"ok": not stuck, "leads": self._guard.leads}
        if age_s is not None:
            body["cycle_age_s"] = round(age_s, 3)
        if stuck:
            body["detail"] = f"The guard has completed no look for {age_s:.0f} s."
        return web.json_response(body, status=503 if stuck else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        access = may_read(self._metrics_token, request.headers.get, on_loopback=self._on_loopback)
        if not access.allowed:
            self._operator(request)
        if self._metering is None:
            raise NotFoundError("This guard keeps no metrics.")
        body, content_type = self._metering.page(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _status_now(self) -> dict[str, Any]:
        return status_document(self._guard, self._clock, notifier=self._notifier, heartbeat=self._heartbeat)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._status_now())

    async def _findings(self, _: web.Request) -> web.Response:
        findings = [finding.document() for finding in self._guard.view.findings]
        return web.json_response({"findings": findings, "families": families_document(self._guard)})

    async def _playbook(self, _: web.Request) -> web.Response:
        return web.json_response(self._guard.playbook.model_dump(mode="json"))

    async def _alarms(self, _: web.Request) -> web.Response:
        return web.json_response({"alarms": alarms_document(self._guard, self._notifier, self._heartbeat)})

    async def _outbox(self, _: web.Request) -> web.Response:
        empty: dict[str, Any] = {"channels": [], "dead_letters": []}
        return web.json_response(self._notifier.document() if self._notifier else empty)

    async def _alerts(self, _: web.Request) -> web.Response:
        return web.json_response(self._inbox.document() if self._inbox else {"alerts": []})

    async def _incidents(self, request: web.Request) -> web.Response:
        limit = number_in(request, "limit", PAGE, highest=LONGEST_PAGE, lowest=1)
        offset = number_in(request, "offset", 0)
        state = request.query.get("state")
        if state is not None and state not in set(IncidentState):
            raise ValidationError(f"state is none of {', '.join(IncidentState)}.")
        rows = self._store.incidents(
            self._guard.book.environment, state=state, limit=limit + 1, offset=offset
        )
        page = [incident_document(self._store, row, now=self._clock.now()) for row in rows[:limit]]
        return web.json_response(
            {"incidents": page, "next_offset": offset + limit if len(rows) > limit else None}
        )

    async def _incident(self, request: web.Request) -> web.Response:
        row = self._store.incident(request.match_info["id"])
        journal = [entry_document(entry) for entry in self._store.entries(row.id)]
        return web.json_response({**self._document(row), "journal": journal})

    async def _report(self, request: web.Request) -> web.Response:
        report = report_of(
            self._store, request.match_info["id"], now=self._clock.now(), redactor=self._redactor
        )
        if request.query.get("format") == "json":
            return web.Response(text=report.json(), content_type="application/json")
        return web.Response(text=report.markdown(), content_type="text/markdown")

    # --- writing --------------------------------------------------------------------------------------------

    async def _alertmanager(self, request: web.Request) -> web.Response:
        if self._inbox is None:
            raise NotFoundError("This guard takes no alerts.")
        raw = b""
        async for piece in request.content.iter_chunked(64 * 1024):
            raw += piece
            if len(raw) > BODY_LIMIT:
                raise PayloadTooLargeError(f"A delivery may have {BODY_LIMIT} bytes; set max_alerts lower.")
        received = self._inbox.receive(raw)
        log.info("alerts_received", firing=received.firing, resolved=received.resolved)
        return web.json_response(
            {
                "firing": received.firing,
                "resolved": received.resolved,
                "truncated": received.truncated,
                "left_out": received.left_out,
            }
        )

    async def _ack(self, request: web.Request) -> web.Response:
        entry = acknowledge(self._store, request.match_info["id"], person=request[OPERATOR])
        return web.json_response(entry_document(entry))

    async def _note(self, request: web.Request) -> web.Response:
        text = self._redactor(await text_in(request, "text"))
        entry = add_note(self._store, request.match_info["id"], person=request[OPERATOR], text=text)
        return web.json_response(entry_document(entry))

    async def _close(self, request: web.Request) -> web.Response:
        incident, reason = request.match_info["id"], self._redactor(await text_in(request, "reason"))

        def write() -> None:
            if self._reports is not None:
                write_report_of(
                    self._store, incident, self._reports, now=self._clock.now(), redactor=self._redactor
                )

        row = close_by_person(
            self._store, incident, person=request[OPERATOR], reason=reason, before_commit=write
        )
        log.warning("closed_by_hand", incident=incident, operator=request[OPERATOR])
        return web.json_response(self._document(row))

    async def _approve(self, request: web.Request) -> web.Response:
        body = await body_object(request)
        break_glass = body.get("break_glass", False)
        if not isinstance(break_glass, bool):
            raise ValidationError("break_glass is true or false.")
        # Agreement needs no reason: an empty one is none.
        reason = self._redactor(said(body, "reason")) if body.get("reason", "") != "" else ""
        entry = approve(
            self._store,
            request.match_info["id"],
            person=request[OPERATOR],
            plan=said(body, "plan"),
            reason=reason,
            break_glass=break_glass,
            now=self._clock.now(),
        )
        log.warning("plan_approved", incident=entry.incident, operator=request[OPERATOR])
        return web.json_response(entry_document(entry))

    async def _order(self, request: web.Request) -> web.Response:
        order = next(order for order in ORDERS if request.path.endswith(f"/{order}"))
        entry = give_order(
            self._store,
            request.match_info["id"],
            order,
            person=request[OPERATOR],
            reason=self._redactor(await text_in(request, "reason")),
        )
        log.warning("ordered", incident=entry.incident, order=order, operator=request[OPERATOR])
        return web.json_response(entry_document(entry))

    def _document(self, row: IncidentRow) -> dict[str, Any]:
        return incident_document(self._store, row, now=self._clock.now())
