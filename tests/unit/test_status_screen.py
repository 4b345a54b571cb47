"""The one screen of `understudy status`: what is wrong stands first, and it fits."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from understudy.cli.status_screen import screen

pytestmark = pytest.mark.unit

NOW = "2026-11-25T03:12:04+00:00"
FAMILIES = ("success_rate", "realtime_failures", "playback", "cost", "data_integrity", "security")


def process(kind: str, pid: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind, "pid": pid, "host": "h1", "mode_value": "qwen", "mode_epoch": 4, "mode_state": "FRESH",
        "started_at": NOW, **more,
    }  # fmt: skip


def window(total: int, failed: int) -> dict[str, Any]:
    return {"total": total, "failed": failed}


def healthy() -> dict[str, Any]:
    mode = {"value": "qwen", "epoch": 4, "actor": "person:ann", "reason": "cutover"}
    processes = [process("api", 11), process("worker", 12)]
    heard = {"at": NOW, "ok": True, "provider": "qwen", "latency_ms": 800, "code": None, "detail": ""}
    guard = {
        "environment": "production", "now": NOW, "known_good": "modal", "mode": mode, "processes": processes,
        "guard": {"leads": True, "lease": None, "cycle_ms": 12.0, "cycle_age_s": 0.4},
        "families": [
            {"trigger": name, "verdict": "PASS", "detail": f"nothing wrong with {name}", "checks": []}
            for name in FAMILIES
        ],
        "rule": {"slo_percent": 99.0, "window_s": 60}, "windows": [window(40, 0), window(0, 0), window(9, 0)],
        "detectable": {"calls": 49, "span_s": 600, "percent": 12.34}, "would_have_fired": {}, "sources": {},
        "probes": {"active": [heard], "standby": [], "spent_microusd": 13000, "paused": None},
        "incident": None, "recovery": None, "drift": {"drifting": False}, "alarms": {},
        "outbox": {"channels": [], "dead_letters": []},
    }  # fmt: skip
    rows = [
        {"name": name, "state": "ready", "pid": pid, "restarts": 0, "started_at": NOW}
        for name, pid in (("standins", 9), ("api", 11), ("worker", 12), ("guard", 13))
    ]
    addresses = {
        "api": "http://127.0.0.1:8000",
        "dashscope": "http://127.0.0.1:8900",
        "modal": "http://127.0.0.1:8901",
    }
    return {
        "guard": guard,
        "supervisor": {"addresses": addresses, "processes": rows, "events": []},
        "mode": {"mode": mode, "processes": processes},
        "env_mode": "qwen",
    }


def drawn(found: dict[str, Any], *, width: int = 80, unicode: bool = True) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(screen(found, width=width, unicode=unicode))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) < 40
    return out.getvalue()


def test_all_is_well_in_one_word() -> None:
    text = drawn(healthy())
    assert text.startswith("ALL WELL  production  2026-11-25 03:12:04 UTC")
    for name in FAMILIES:
        assert name.replace("_", " ") in text
    assert "█·█" in text
    assert "40 of 40 in the newest 60 s" in text
    assert "an error rate of 12.3 % or more" in text
    assert "active qwen heard in 800 ms" in text
    assert "$0.01" in text
    assert drawn(healthy(), unicode=False).isascii()
    assert "03:12" in drawn(healthy(), width=120).splitlines()[-1]


def test_the_code_that_serves_is_told_and_two_revisions_stand_apart() -> None:
    found = healthy()
    assert "Code" not in drawn(found)  # nobody says what it runs
    for row in found["supervisor"]["processes"][1:3]:
        row |= {"revision": "1" * 40, "release": "1" * 12}
    assert f"{'1' * 12}, release {'1' * 12}  (api, worker)" in drawn(found)
    found["supervisor"]["processes"][2] |= {"revision": f"{'2' * 40}+0123abcd", "release": None}
    text = drawn(found)
    assert f"{'1' * 12}, release {'1' * 12}  (api)" in text
    assert f"{'2' * 12}+0123abcd  (worker)" in text


def test_an_incident_comes_first_with_what_to_do() -> None:
    found = healthy()
    guard = found["guard"]
    guard["families"][0] |= {"verdict": "FAIL", "detail": "38 of 40 calls failed " + "and more " * 20 + "END"}
    guard["families"][3] |= {"detail": "x" * 300}
    guard["windows"] = [window(20, 19), window(20, 0)]
    guard["incident"] = {
        "id": "inc-20261125T031130Z-ab12cd", "state": "HOLD", "title": "Success rate below the SLO",
        "opened_at": NOW, "acknowledged_by": [], "instruction": "Flip by hand: understudy mode set modal",
        "times": {"onset": "2026-11-25T03:10:58+00:00"},
    }  # fmt: skip
    guard["recovery"] = {"waiting_for": ["31 clean calls"]}
    guard["drift"] = {"drifting": True, "detail": "they differ"}
    guard["alarms"] = {"drift": "they differ", "outbox slack": "5 attempts failed"}
    guard["would_have_fired"] = {"cost/spend_hour": 2}
    guard["probes"]["active"][0] |= {"ok": False, "detail": "503"}
    found["mode"]["processes"][1] |= {"mode_value": "modal", "mode_epoch": 3, "mode_state": "STALE"}
    text = drawn(found)
    assert text.startswith("INCIDENT HOLD")
    assert "HOLD, began 1m06s ago  inc-20261125T031130Z-ab12cd" in text
    assert "nobody has acknowledged it" in text
    assert "To do      Flip by hand" in text
    assert "END" in text  # a failure's sentence is told whole
    assert text.count("x" * 30) == 1  # a healthy one's is cut to one line
    assert text.count("they differ") == 1
    assert "outbox slack: 5 attempts failed" in text
    assert "modal/3 STALE behind" in text
    assert "FAILED" in text
    assert "cost/spend_hour 2x" in text
    assert "waits for: 31 clean calls" in text
    guard["incident"]["acknowledged_by"] = ["person:ann"]
    assert "acknowledged by ann" in drawn(found)


def test_blindness_is_said_once_for_all_and_a_follower_says_who_leads() -> None:
    found = healthy()
    guard = found["guard"]
    for family in guard["families"]:
        family |= {"verdict": "BLIND", "detail": "the database is away"}
    guard["sources"] = {name: {"blind": "the database is away"} for name in ("calls", "cost")}
    guard["guard"] |= {"leads": False, "lease": {"holder": "other:7:aa"}}
    guard["mode"], guard["windows"], guard["detectable"], found["mode"] = None, [], None, None
    text = drawn(found)
    assert text.startswith("BLIND")
    assert "calls, cost: the database is away" in text
    assert text.count("as above") == len(FAMILIES) - 1
    assert "stands by; other:7:aa holds the lease" in text
    assert "not known" in text


def test_a_guard_that_cannot_write_its_store_is_no_follower_of_itself() -> None:
    found = healthy()
    found["guard"]["guard"] |= {"leads": False, "holder": "h1:7:aa", "lease": {"holder": "h1:7:aa"}}
    text = drawn(found)
    assert "cannot write its store" in text
    assert "stands by" not in text


def test_what_is_not_seen_is_not_well_and_a_changed_policy_is_told() -> None:
    found = healthy()
    guard = found["guard"]
    for family in guard["families"][2:4]:
        family["verdict"] = "NO_DATA"
    guard["policy"] = {"file": "p.yaml", "digest": "0123456789ab", "changed": None}
    text = drawn(found)
    assert text.startswith("NOTHING WRONG SEEN")
    assert "no data on playback, cost\n" in text
    assert "Policy     0123456789ab" in text
    guard["policy"]["changed"] = "p.yaml differs from what is in force"
    assert "differs from what is in force" in drawn(found)


def test_a_dead_guard_and_a_guard_that_stands_alone() -> None:
    found = healthy()
    dead = copy.deepcopy(found) | {"guard": None, "guard_problem": "The last look was 412 s ago."}
    text = drawn(dead)
    assert text.startswith("NOBODY WATCHES")
    assert "412 s ago" in text
    alone = copy.deepcopy(found) | {"supervisor": None, "mode": None}
    assert "api on h1" in drawn(alone)
    alone["guard"]["detectable"]["percent"] = None
    alone["guard"]["probes"]["paused"] = "switched off"
    alone["guard"]["alarms"] = {"heartbeat": "cannot be written"}
    text = drawn(alone)
    assert text.startswith("ALARM")
    assert "probes alone tell" in text
    assert "paused: switched off" in text
