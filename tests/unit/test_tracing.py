from __future__ import annotations

import subprocess
import sys

import pytest

from understudy.errors import ConfigurationError
from understudy.tracing import NoTracing, open_tracing

pytestmark = pytest.mark.unit


def opened(endpoint: str) -> object:
    return open_tracing(endpoint, process="api", instance="i", version="0")


def test_without_a_collector_nothing_is_imported() -> None:
    assert isinstance(opened(""), NoTracing)
    # The API package comes with another dependency; what sends does not.
    told = "import sys, understudy.speech.context; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError) as caught:
        opened("http://127.0.0.1:4318")
    assert "pip install 'understudy[otel]'" in caught.value.message


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened("collector:4318")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL" in caught.value.message
