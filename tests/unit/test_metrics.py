from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from understudy.metrics import (
    CallFacts,
    ModeFacts,
    ProcessMetrics,
    exposition,
    guard_registry,
    may_read,
)

pytestmark = pytest.mark.unit

CALL = CallFacts("qwen", "speak", "failed", "transport", 7)


def test_what_is_read_is_prometheus_text_with_what_happened() -> None:
    metrics = ProcessMetrics()
    metrics.follow(mode=lambda: ModeFacts("qwen", "FRESH", 7), streams=lambda: 3, drops=lambda: 11)
    metrics.request("GET", "/api/tasks/{id}", 200, 0.02)
    metrics.request("BREW", "unmatched", 404, 0.001)
    metrics.provider_call(CALL, 1.5, 0.3)
    with metrics.task("generate", "qwen"):
        held = metrics.registry.get_sample_value("understudy_tasks_active", {"type": "generate"})
    body, content_type = exposition(metrics.registry, "")
    assert content_type.startswith("text/plain; version=")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[name, tuple(sorted(labels.items()))]

    assert held == 1
    assert value("understudy_tasks_active", type="generate") == 0
    assert value("understudy_tasks_total", type="generate", provider="qwen") == 1
    assert value("understudy_http_requests_total", method="GET", route="/api/tasks/{id}", status="200") == 1
    assert value("understudy_http_requests_total", method="OTHER", route="unmatched", status="404") == 1
    assert (
        value(
            "understudy_provider_calls_total",
            provider="qwen",
            operation="speak",
            outcome="failed",
            failure_class="transport",
            mode_epoch="7",
        )
        == 1
    )
    assert value("understudy_first_audio_seconds_sum", provider="qwen") == pytest.approx(0.3)
    assert value("understudy_mode_epoch") == 7
    assert value("understudy_mode_info", value="qwen", state="FRESH") == 1
    assert value("understudy_streams_active") == 3
    assert value("understudy_signal_drops_total") == 11
    assert value("process_open_fds") > 0
    assert not any(name.endswith("_created") for name, _ in samples)


def test_the_guards_metrics_have_the_names_that_dashboards_use() -> None:
    guard = guard_registry()
    guard.verdict.labels("success_rate", "rate").set(4)
    guard.would_have_fired.labels("success_rate", "refusals").inc()
    guard.cycle_seconds.observe(0.02)
    guard.outbox_pending.labels("slack").set(2)
    guard.probe_ok.labels("standby", "modal").set(1)
    found = {sample.name for family in guard.registry.collect() for sample in family.samples}
    assert {
        "understudy_guard_verdict",
        "understudy_guard_would_have_fired_total",
        "understudy_guard_cycle_seconds_bucket",
        "understudy_incidents_open",
        "understudy_guard_leads",
        "understudy_guard_outbox_pending",
        "understudy_probe_ok",
        "process_cpu_seconds_total",
    } <= found


@pytest.mark.parametrize(
    ("token", "headers", "on_loopback", "allowed", "challenged"),
    [
        ("", {"host": "127.0.0.1:8000"}, True, True, False),
        ("", {"host": "localhost"}, True, True, False),
        ("", {"host": "[::1]:8000"}, True, True, False),
        ("", {"host": "127.0.0.1:8000"}, False, False, False),
        # Through a proxy on this machine, or by a page whose name was made to mean 127.0.0.1.
        ("", {"host": "127.0.0.1:8000", "x-forwarded-for": "198.51.100.7"}, True, False, False),
        ("", {"host": "127.0.0.1:8000", "forwarded": "for=198.51.100.7"}, True, False, False),
        ("", {"host": "evil.example.org:8000"}, True, False, False),
        ("", {}, True, False, False),
        ("t0ken", {"host": "127.0.0.1"}, True, False, True),
        ("t0ken", {"authorization": "Bearer t0ke"}, True, False, True),
        ("t0ken", {"authorization": "Basic t0ken"}, True, False, True),
        ("t0ken", {"authorization": "Bearer t0kën"}, True, False, True),
        ("t0ken", {"authorization": "bearer t0ken", "x-forwarded-for": "198.51.100.7"}, False, True, False),
    ],
)
def test_who_may_read(
    token: str, headers: dict[str, str], on_loopback: bool, allowed: bool, challenged: bool
) -> None:
    assert may_read(token, headers.get, on_loopback=on_loopback) == (allowed, challenged)
