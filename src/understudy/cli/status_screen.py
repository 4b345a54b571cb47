"""The one screen of ``understudy status``: what is wrong stands out, what is well takes one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.cli.timeline import STATE_STYLES, duration

VERDICT_STYLES = {
    "FAIL": "bold red",
    "BLIND": "bold magenta",
    "INCONCLUSIVE": "yellow",
    "NO_DATA": "dim",
    "PASS": "green",
}
_PROCESS_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "draining": "yellow",
    "stopped": "dim",
    "failed": "bold red",
}
#: Verdicts whose sentence is worth more than one line.
_SPEAK_UP = frozenset({"FAIL", "BLIND"})
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "01234567"
_WINDOWS_SHOWN = 30


def screen(found: Mapping[str, Any], *, width: int, unicode: bool = True) -> RenderableType:
    """Return the screen of what :func:`understudy.cli.status.status` collects: the worst first."""
    guard = found.get("guard") or {}
    head = _head(found)
    table = processes_table(found, wide=width >= 100)
    if not guard:
        said = str(found.get("guard_problem") or "The guard does not answer; see logs/guard.log.")
        return Group(
            head,
            _block([("Guard", Text(said, style="bold red")), *_mode_rows(found, guard), *_code_rows(found)]),
            table,
        )
    first = [*_incident_rows(guard), *_alarm_rows(guard), *_mode_rows(found, guard)]
    first += [*_code_rows(found), *_guard_rows(guard)]
    last = [*_success_rows(guard, width, unicode), *_probe_rows(guard)]
    gap = Text("")
    return Group(head, _block(first), gap, _families(guard, width), gap, _block(last), gap, table)


def _head(found: Mapping[str, Any]) -> Text:
    """One line: how it stands, where, when."""
    guard = found.get("guard") or {}
    verdicts = {family["verdict"] for family in guard.get("families") or ()}
    incident = guard.get("incident")
    worst = next((verdict for verdict in VERDICT_STYLES if verdict in verdicts), None)
    if not guard:
        word, style = "NOBODY WATCHES", "bold white on red"
    elif incident:
        word, style = f"INCIDENT {incident['state']}", "bold white on red"
    elif worst in _SPEAK_UP:
        word, style = str(worst), VERDICT_STYLES[str(worst)]
    elif guard.get("alarms"):
        word, style = "ALARM", "bold red"
    elif worst == "INCONCLUSIVE":
        word, style = "UNCLEAR", "bold yellow"
    elif "PASS" not in verdicts:
        word, style = "NOTHING TO JUDGE", "bold yellow"
    elif "NO_DATA" in verdicts:
        word, style = "NOTHING WRONG SEEN", "bold green"
    else:
        word, style = "ALL WELL", "bold green"
    when = f"{_now(guard):%Y-%m-%d %H:%M:%S} UTC" if guard else ""
    head = Text.assemble((word, style), f"  {guard.get('environment', '')}  {when}".rstrip())
    if word == "NOTHING WRONG SEEN":
        unseen = [
            family["trigger"].replace("_", " ")
            for family in guard["families"]
            if family["verdict"] == "NO_DATA"
        ]
        head.append(f"\nno data on {', '.join(unseen)}", "yellow")
    return head


def _block(rows: Sequence[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=10, no_wrap=True)
    table.add_column(overflow="fold")
    last = None
    for name, said in rows:
        table.add_row(Text("" if name == last else name, style="dim"), said)
        last = name
    return table


# --- processes ----------------------------------------------------------------------------------------------


def processes_table(found: Mapping[str, Any], *, wide: bool) -> Table:
    """Return a row for each process: its state, and the mode that it holds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("process", "state", "pid", "mode"):
        table.add_column(heading, no_wrap=True)
    table.add_column("address", overflow="fold")
    if wide:
        table.add_column("since (UTC)", no_wrap=True)
    held = {process["pid"]: process for process in _held(found)}
    supervisor = found.get("supervisor")
    if supervisor is None:
        for process in held.values():
            state = Text("live", style="green")
            name = f"{process['kind']} on {process.get('host') or '?'}"
            cells = (name, state, str(process["pid"]), _mode_of(process, found), Text(""))
            table.add_row(*cells, *([_clock(process)] if wide else []))
        return table
    addresses = dict(supervisor.get("addresses") or {})
    addresses["standins"] = ", ".join(
        str(addresses[name]) for name in ("dashscope", "modal") if addresses.get(name)
    )
    for row in supervisor["processes"]:
        restarts = f" ({row['restarts']} restarts)" if row["restarts"] else ""
        table.add_row(
            row["name"],
            Text(row["state"] + restarts, style=_PROCESS_STYLES.get(row["state"], "default")),
            str(row["pid"] or "-"),
            _mode_of(held[row["pid"]], found) if row["pid"] in held else Text("-", style="dim"),
            Text(str(addresses.get(row["name"]) or "")),
            *([_clock(row)] if wide else []),
        )
    return table


def _held(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What each process holds, as the database says; as the guard saw it last where that is away."""
    live = found.get("mode") or found.get("guard") or {}
    processes: Sequence[Mapping[str, Any]] = live.get("processes") or ()
    return processes


def _mode_of(process: Mapping[str, Any], found: Mapping[str, Any]) -> Text:
    row = (found.get("mode") or {}).get("mode") or (found.get("guard") or {}).get("mode") or {}
    follows = not row or process["mode_epoch"] == row.get("epoch")
    sound = follows and process["mode_state"] == "FRESH"
    state = "" if process["mode_state"] == "FRESH" else f" {process['mode_state']}"
    said = f"{process['mode_value']}/{process['mode_epoch']}{state}"
    return Text(said if follows else f"{said} behind", style="" if sound else "bold yellow")


def _clock(row: Mapping[str, Any]) -> str:
    return str(row["started_at"])[5:16].replace("T", " ")


# --- mode, guard, incident ----------------------------------------------------------------------------------


def _mode_rows(found: Mapping[str, Any], guard: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    row = guard.get("mode") or (found.get("mode") or {}).get("mode")
    drift = guard.get("drift") or {}
    if row:
        good = f"; known-good is {guard['known_good']}" if guard.get("known_good") else ""
        said = Text.assemble(
            (str(row["value"]), "bold"), f" at epoch {row['epoch']}, by {row['actor']}{good}"
        )
        yield "Mode", said
        if row.get("reason"):
            yield "Mode", Text(str(row["reason"]), style="dim")
    else:
        yield "Mode", Text("not known", style="yellow")
    if drift.get("drifting"):
        yield "Drift", Text(str(drift.get("detail")), style="bold yellow")
    elif found.get("env_mode") and row and found["env_mode"] != row["value"]:
        differ = f"the environment file says {found['env_mode']}, the live row {row['value']}"
        yield "Drift", Text(differ, style="bold yellow")


def _code_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    """Yield the revisions that processes say they run; one that differs from the others stands out."""
    served: dict[tuple[str, str], set[str]] = {}
    for row in (found.get("supervisor") or {}).get("processes") or _held(found):
        if row.get("revision"):
            name = str(row.get("name") or row.get("kind"))
            served.setdefault((row["revision"], row.get("release") or ""), set()).add(name)
    for (revision, release), names in sorted(served.items()):
        said = Text(f"{revision[:12]}{revision[40:]}" + (f", release {release}" if release else ""))
        said.append(f"  ({', '.join(sorted(names))})", "dim" if len(served) == 1 else "bold yellow")
        yield "Code", said


def _guard_rows(guard: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    own = guard["guard"]
    if own["leads"]:
        said = Text("leads", style="green")
    elif (lease := own.get("lease")) and lease["holder"] == own.get("holder"):
        said = Text("cannot write its store: its own lease is not renewed", style="bold red")
    else:
        said = Text(f"stands by; {lease['holder'] if lease else 'nobody'} holds the lease", style="yellow")
    if own.get("cycle_age_s") is not None:
        said.append(
            f", looked {duration(own['cycle_age_s'])} ago in {own.get('cycle_ms') or 0:.0f} ms", "dim"
        )
    yield "Guard", said
    policy = guard.get("policy")
    if policy:
        yield "Policy", Text(str(policy["digest"]), style="dim")
        if policy.get("changed"):
            yield "Policy", Text(str(policy["changed"]), style="yellow")
    reasons: dict[str, list[str]] = {}
    for name, source in (guard.get("sources") or {}).items():
        if source.get("blind"):
            reasons.setdefault(source["blind"], []).append(name)
    for reason, names in reasons.items():
        yield "Blind", Text(f"{', '.join(names)}: {reason}", style="bold magenta")


def _incident_rows(guard: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    incident = guard.get("incident")
    if not incident:
        yield "Incident", Text("none open", style="green")
        return
    state = incident["state"]
    began = incident["times"].get("onset") or incident["opened_at"]
    age = duration((_now(guard) - datetime.fromisoformat(began)).total_seconds())
    shown = (state, STATE_STYLES.get(state, "bold"))
    yield "Incident", Text.assemble(shown, f", began {age} ago  ", (incident["id"], "bold"))
    yield "Incident", Text(incident["title"])
    names = ", ".join(name.removeprefix("person:") for name in incident.get("acknowledged_by") or ())
    nobody = "nobody has acknowledged it: understudy incident ack latest"
    yield "Incident", Text(f"acknowledged by {names}", "cyan") if names else Text(nobody, "yellow")
    if incident.get("instruction"):
        yield "To do", Text(str(incident["instruction"]), style="bold")
    waiting = (guard.get("recovery") or {}).get("waiting_for") or ()
    if waiting:
        yield "Closing", Text("waits for: " + "; ".join(waiting), style="dim")


def _now(guard: Mapping[str, Any]) -> datetime:
    now = datetime.fromisoformat(guard["now"])
    return now if now.tzinfo else now.replace(tzinfo=UTC)


# --- what is watched ----------------------------------------------------------------------------------------


def _families(guard: Mapping[str, Any], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=12, no_wrap=True)
    table.add_column(width=17, no_wrap=True)
    table.add_column(overflow="fold")
    room = max(20, width - 12 - 17 - 3)
    told: set[str] = set()
    for family in guard.get("families") or ():
        verdict = family["verdict"] or "-"
        detail = str(family["detail"])
        if verdict not in _SPEAK_UP and len(detail) > room:
            detail = detail[: room - 1] + "…"
        if verdict in _SPEAK_UP and detail in told:
            detail = "as above"
        told.add(detail)
        style = VERDICT_STYLES.get(verdict, "dim")
        name = family["trigger"].replace("_", " ")
        quiet = verdict in {"PASS", "NO_DATA", "-"}
        table.add_row(Text(verdict, style=style), name, Text(detail, style="dim" if quiet else ""))
    fired = guard.get("would_have_fired") or {}
    if fired:
        said = ", ".join(f"{name} {count}x" for name, count in fired.items())
        table.add_row(Text("shadow", style="dim"), "would have fired", Text(said, style="dim"))
    return table


def _success_rows(guard: Mapping[str, Any], width: int, unicode: bool) -> Iterator[tuple[str, Text]]:
    windows = list(reversed((guard.get("windows") or [])[:_WINDOWS_SHOWN]))[-max(5, width - 50) :]
    if not windows:
        return
    slo = float((guard.get("rule") or {}).get("slo_percent") or 100)
    bars = Text.assemble(*(_bar(window, slo, unicode) for window in windows))
    newest = windows[-1]
    window_s = (guard.get("rule") or {}).get("window_s")
    well = f"{newest['total'] - newest['failed']} of {newest['total']}" if newest["total"] else "no call"
    bars.append(f"  {well} in the newest {window_s} s")
    yield "Success", bars
    seen = guard.get("detectable") or {}
    if seen.get("calls") is not None:
        said = "too few to see any error rate: probes alone tell"
        if seen.get("percent") is not None:
            said = f"an error rate of {seen['percent']:.3g} % or more would be seen"
        span = duration(seen["span_s"])
        yield "Success", Text(f"{seen['calls']} calls in {span}: {said}", style="dim")


def _bar(window: Mapping[str, Any], slo_percent: float, unicode: bool) -> tuple[str, str]:
    """One character a window, as high as its success rate; a dot where nothing happened."""
    if not window["total"]:
        return ("·" if unicode else ".", "dim")
    blocks = _BLOCKS if unicode else _ASCII_BLOCKS
    rate = (window["total"] - window["failed"]) / window["total"]
    style = "green" if rate * 100 >= slo_percent else "bold red"
    return (blocks[round(rate * (len(blocks) - 1))], style)


def _probe_rows(guard: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    probes = guard.get("probes") or {}
    for role in ("active", "standby"):
        for newest in (probes.get(role) or ())[:1]:
            age = duration(max(0.0, (_now(guard) - datetime.fromisoformat(newest["at"])).total_seconds()))
            heard = f"heard in {newest['latency_ms']} ms" if newest["ok"] else "FAILED"
            said = Text.assemble(
                f"{role} {newest['provider']} ",
                (heard, "green" if newest["ok"] else "bold red"),
                f", {age} ago",
            )
            if not newest["ok"]:
                said.append(f": {newest['detail'] or newest['code']}")
            yield "Probes", said
    if probes.get("paused"):
        yield "Probes", Text(f"paused: {probes['paused']}", style="yellow")
    elif probes.get("spent_microusd"):
        yield (
            "Probes",
            Text(f"cost ${probes['spent_microusd'] / 1_000_000:.2f} since midnight UTC", style="dim"),
        )


def _alarm_rows(guard: Mapping[str, Any]) -> Iterator[tuple[str, Text]]:
    alarms = guard.get("alarms") or {}
    for name, alarm in alarms.items():
        if name != "drift":  # has a row of its own
            yield "Alarms", Text(f"{name}: {alarm}", style="bold red")
    for channel in (guard.get("outbox") or {}).get("channels") or ():
        if channel["attempts"] and f"outbox {channel['channel']}" not in alarms:
            said = f"{channel['channel']}: {channel['waiting']} wait, {channel['last_error']}"
            yield "Outbox", Text(said, style="yellow")
