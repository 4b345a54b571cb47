"""What each fault of Modal's panel is to a client: the expectations that the suite proves, and their table.

``python -m tests.conformance.modal_faults`` prints the table that docs/standins.md holds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from understudy.errors import FailureCategory, FailureClass
from understudy.providers.base import SUBMIT_UNKNOWN

FROM = "<!-- table: python -m tests.conformance.modal_faults -->"
TO = "<!-- end of table -->"

#: Deadlines of the adapter under test, in seconds: short, so that each fault meets its own.
SUBMIT_S, STATUS_S, RESULT_S, DESIGN_S, TOTAL_S = 1.5, 0.4, 1.0, 4.0, 2.5


@dataclass(frozen=True, slots=True)
class Expected:
    """One fault fully up, and what the adapter makes of it.

    Parameters
    ----------
    category
        ``None``: the speech succeeds all the same.
    status
        HTTP status of a request that waited for it.
    told
        What the tenant reads: the task's ``error``, or the ``detail`` of an answer.
    code
        The stable code on record.
    """

    fault: str
    what: str
    category: FailureCategory | None
    failure_class: FailureClass | None = None
    status: int = 200
    retryable: bool = False
    told: str = "the speech"
    code: str | None = None
    operation: Literal["speak", "design"] = "speak"


UNAVAILABLE, TIMEOUT = FailureCategory.PROVIDER_UNAVAILABLE, FailureCategory.TIMEOUT
REJECTED = FailureCategory.PROVIDER_REJECTED
TRANSPORT, PROTOCOL, PROVIDER = FailureClass.TRANSPORT, FailureClass.PROTOCOL, FailureClass.PROVIDER

EXPECTED = (
    Expected(
        "submit_500",
        "submit answers 500; nothing was started",
        UNAVAILABLE, PROVIDER, 503, True,
        "The speech provider is unavailable (HTTP 500).",
    ),
    Expected(
        "submit_500",
        "so does a voice design",
        UNAVAILABLE, PROVIDER, 503, True,
        "The speech provider is unavailable (HTTP 500).",
        operation="design",
    ),
    Expected(
        "submit_hang",
        "the job starts, its answer never comes",
        TIMEOUT, TRANSPORT, 504, True,
        f"The speech provider took longer than {SUBMIT_S:g} s (submit).",
        code=SUBMIT_UNKNOWN,
    ),
    Expected(
        "submit_reset",
        "the job starts, the connection is reset before its answer",
        UNAVAILABLE, TRANSPORT, 503, True,
        "The connection to the speech provider failed (submit).",
        code=SUBMIT_UNKNOWN,
    ),
    Expected(
        "status_500",
        "every status poll answers 500",
        UNAVAILABLE, PROVIDER, 503, True,
        "The speech provider is unavailable (HTTP 500).",
    ),
    Expected(
        "status_hang",
        "status accepts and never answers",
        TIMEOUT, TRANSPORT, 504, True,
        f"The speech provider took longer than {STATUS_S:g} s (status).",
    ),
    Expected("status_unknown", "the first 3 polls of a job answer `warming_up`, a word nobody knows", None),
    Expected(
        "slow",
        "a job takes `slow_s` seconds longer (10 at the start)",
        TIMEOUT, TRANSPORT, 504, True,
        f"The speech provider took longer than {TOTAL_S:g} s (job).",
    ),
    Expected(
        "job_failed",
        "the job ends `failed` with a GPU's error",
        REJECTED, PROVIDER, 502, False,
        "The speech provider could not speak this text.",
        code="job_ended",
    ),
    Expected(
        "result_202_forever",
        "status says that the result is ready, the result says 202 without end",
        TIMEOUT, PROTOCOL, 504, True,
        f"The speech provider did not hand over finished speech within {RESULT_S:g} s.",
    ),
    Expected(
        "result_410",
        "the result answers 410",
        REJECTED, PROVIDER, 502, False,
        "The speech provider rejected the request (HTTP 410).",
    ),
    Expected(
        "result_hang",
        "the result accepts and never answers",
        TIMEOUT, TRANSPORT, 504, True,
        f"The speech provider took longer than {RESULT_S:g} s (result).",
    ),
    Expected(
        "result_hang",
        "so does a voice design",
        TIMEOUT, TRANSPORT, 504, True,
        f"The speech provider took longer than {DESIGN_S:g} s (design).",
        operation="design",
    ),
    Expected(
        "result_silent",
        "a WAV of silence, as long as the speech",
        UNAVAILABLE, PROTOCOL, 503, True,
        "The speech provider sent speech without sound.",
    ),
    Expected(
        "result_silent",
        "so does a voice design",
        UNAVAILABLE, PROTOCOL, 503, True,
        "The speech provider sent voice design without sound.",
        operation="design",
    ),
    Expected(
        "result_truncated",
        "a WAV shorter than its header says",
        UNAVAILABLE, PROTOCOL, 503, True,
        "The speech provider sent broken speech audio.",
    ),
    Expected(
        "result_truncated",
        "so does a voice design",
        UNAVAILABLE, PROTOCOL, 503, True,
        "The speech provider sent broken voice design audio.",
        operation="design",
    ),
    Expected(
        "reset_result",
        "the connection is reset inside the body of the audio",
        UNAVAILABLE, TRANSPORT, 503, True,
        "The connection to the speech provider failed (result).",
    ),
    Expected(
        "reset_result",
        "so does a voice design",
        UNAVAILABLE, TRANSPORT, 503, True,
        "The connection to the speech provider failed (design).",
        operation="design",
    ),
    Expected(
        "redirect_loop",
        "a voice design answers 303 to itself without end",
        UNAVAILABLE, PROTOCOL, 503, True,
        "The speech provider redirected without end.",
        operation="design",
    ),
)  # fmt: skip


def table() -> str:
    """The expectations as Markdown."""
    rows = [
        "| fault | what the stand-in does | category | class | HTTP | retry | what the tenant reads |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in EXPECTED:
        retry = "-" if item.category is None else "yes" if item.retryable else "no"
        cells = (
            f"`{item.fault}`",
            item.what,
            str(item.category or "success"),
            str(item.failure_class or "-"),
            str(item.status),
            retry,
            item.told + (f" (`{item.code}`)" if item.code else ""),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
