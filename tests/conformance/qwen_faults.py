"""What each fault of DashScope's panel is to a client: what the suite proves, and its table.

``python -m tests.conformance.qwen_faults`` prints the table that docs/qwen.md holds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from understudy.errors import FailureCategory, FailureClass
from understudy.providers.base import CREATE_UNKNOWN

FROM = "<!-- table: python -m tests.conformance.qwen_faults -->"
TO = "<!-- end of table -->"

#: Deadlines of the adapter under test, in seconds: short, so that each fault meets its own.
CONNECT_S, FIRST_AUDIO_S, GAP_S, TOTAL_S, CREATE_S = 1.5, 4.0, 1.0, 30.0, 3.0

Operation = Literal["speak", "enroll", "design", "check"]


@dataclass(frozen=True, slots=True)
class Expected:
    """One fault fully up, and what the adapter makes of it.

    Parameters
    ----------
    category
        ``None``: what was asked for is done all the same.
    status
        HTTP status of a request that waited for it.
    told
        What the tenant reads, or what is done all the same.
    code
        The stable code on record.
    evidence
        What else the record tells.
    """

    fault: str
    operation: Operation
    category: FailureCategory | None
    failure_class: FailureClass | None = None
    status: int = 200
    retryable: bool = False
    told: str = ""
    code: str | None = None
    evidence: tuple[tuple[str, object], ...] = ()


UNAVAILABLE, TIMEOUT = FailureCategory.PROVIDER_UNAVAILABLE, FailureCategory.TIMEOUT
REJECTED, VALIDATION = FailureCategory.PROVIDER_REJECTED, FailureCategory.VALIDATION
TRANSPORT, PROTOCOL, PROVIDER = FailureClass.TRANSPORT, FailureClass.PROTOCOL, FailureClass.PROVIDER

REFUSED_KEY = "The speech provider refused our key."
TO_OPERATORS = (
    "The speech provider refused our key: it is wrong, revoked, or of another region. Set a key of lane intl."
)
LOST = "The connection to the speech provider was lost."
REPORTED = "The speech provider is unavailable (InternalError)."


def late(seconds: float, stage: str) -> str:
    """The sentence of one of our deadlines."""
    return f"The speech provider took longer than {seconds:g} s ({stage})."


def http(status: int) -> str:
    """The sentence of a status that says no."""
    if status == 429 or status >= 500:
        return f"The speech provider is unavailable (HTTP {status})."
    return f"The speech provider rejected the request (HTTP {status})."


def stage(name: str, **more: object) -> tuple[tuple[str, object], ...]:
    """Evidence of one stage."""
    return (("stage", name), *more.items())


UNSENT, SENT = ("text_sent", False), ("text_sent", True)

EXPECTED = (
    Expected("handshake_401", "speak", REJECTED, PROVIDER, 502, False, REFUSED_KEY, "InvalidApiKey",
             (("status", 401), UNSENT)),
    Expected("handshake_403", "speak", REJECTED, PROVIDER, 502, False, http(403),
             evidence=(("status", 403), UNSENT)),
    Expected("handshake_429", "speak", UNAVAILABLE, PROVIDER, 503, True, http(429),
             evidence=(("status", 429), UNSENT)),
    Expected("handshake_hang", "speak", TIMEOUT, TRANSPORT, 504, True, late(CONNECT_S, "connect"),
             evidence=(*stage("connect"), UNSENT)),
    Expected("silence_after_accept", "speak", TIMEOUT, TRANSPORT, 504, True,
             late(FIRST_AUDIO_S, "first audio"),
             evidence=(*stage("first audio", waiting_for="session.created"), UNSENT)),
    Expected("slow_first_delta", "speak", TIMEOUT, TRANSPORT, 504, True, late(FIRST_AUDIO_S, "first audio"),
             evidence=(*stage("first audio", waiting_for="response.audio.delta"), SENT)),
    Expected("gap", "speak", TIMEOUT, TRANSPORT, 504, True, late(GAP_S, "gap between chunks"),
             evidence=(*stage("gap between chunks"), SENT)),
    Expected("half_open", "speak", TIMEOUT, TRANSPORT, 504, True, late(GAP_S, "gap between chunks"),
             evidence=(*stage("gap between chunks"), SENT)),
    Expected("never_finished", "speak", TIMEOUT, TRANSPORT, 504, True, late(GAP_S, "gap between chunks"),
             evidence=(*stage("gap between chunks", waiting_for="session.finished"), SENT)),
    Expected("reset_mid_audio", "speak", UNAVAILABLE, TRANSPORT, 503, True, LOST, evidence=(SENT,)),
    Expected("drop_mid_audio", "speak", UNAVAILABLE, TRANSPORT, 503, True, LOST, evidence=(SENT,)),
    Expected("garbage_frame", "speak", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider sent a frame that is not JSON.", "frame_unreadable", (SENT,)),
    Expected("invalid_base64", "speak", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider sent audio that is not base64.", "audio_unreadable", (SENT,)),
    Expected("out_of_order", "speak", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider sent audio outside of a response.", "event_order", (SENT,)),
    Expected("silent_audio", "speak", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider finished without sound.", "audio_silent", (SENT,)),
    Expected("truncated_audio", "speak", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider sent only part of the speech.", "audio_truncated", (SENT,)),
    Expected("incomplete_response", "speak", UNAVAILABLE, PROVIDER, 503, True,
             "The speech provider ended a response early (incomplete).", "response_incomplete", (SENT,)),
    Expected("failed_response", "speak", UNAVAILABLE, PROVIDER, 503, True,
             "The speech provider ended a response early (failed).", "response_failed", (SENT,)),
    Expected("error_event", "speak", UNAVAILABLE, PROVIDER, 503, True, REPORTED, "InternalError",
             (("event", "error"), SENT)),
    Expected("error_stays_open", "speak", UNAVAILABLE, PROVIDER, 503, True, REPORTED, "InternalError",
             (("event", "error"), SENT)),
    Expected("error_after_audio", "speak", UNAVAILABLE, PROVIDER, 503, True, REPORTED, "InternalError",
             (("event", "error"), SENT)),
    Expected("throttled_event", "speak", UNAVAILABLE, PROVIDER, 503, True,
             "The speech provider is unavailable (Throttling.RateQuota).", "Throttling.RateQuota", (SENT,)),
    Expected("customization_401", "check", REJECTED, PROVIDER, 502, False, TO_OPERATORS, "InvalidApiKey",
             (("status", 401),)),
    Expected("customization_401", "enroll", REJECTED, PROVIDER, 502, False, REFUSED_KEY, "InvalidApiKey",
             (("status", 401),)),
    Expected("customization_403", "check", REJECTED, PROVIDER, 502, False, http(403), "Model.AccessDenied",
             (("status", 403),)),
    Expected("customization_429", "enroll", UNAVAILABLE, PROVIDER, 503, True, http(429),
             "Throttling.RateQuota", (("status", 429),)),
    Expected("customization_500", "enroll", UNAVAILABLE, PROVIDER, 503, True, http(500), "InternalError",
             (("status", 500),)),
    Expected("customization_hang", "enroll", TIMEOUT, TRANSPORT, 504, True, late(CREATE_S, "enroll"),
             CREATE_UNKNOWN, stage("enroll")),
    Expected("customization_garbage", "enroll", UNAVAILABLE, PROTOCOL, 503, True,
             "The speech provider's answer is not JSON.", CREATE_UNKNOWN),
    Expected("create_refused", "enroll", VALIDATION, PROVIDER, 400, False,
             "The speech provider refused the input (DataInspectionFailed).", "DataInspectionFailed",
             (("status", 400),)),
    Expected("create_answer_lost", "enroll", None, told="the voice: found by its label, billed once"),
    Expected("create_answer_lost", "design", None,
             told="the voice: found by its label, billed once, its preview spoken again"),
    Expected("create_hang", "enroll", None, told="the voice: found by its label, billed once"),
    Expected("wrong_target_model", "enroll", None, told="the voice: found by its label, with its true model"),
    Expected("fallback_mode", "enroll", None, told="the voice, `degraded`"),
    Expected("preview_silent", "design", None, told="the voice, its preview spoken again"),
    Expected("preview_garbage", "design", None, told="the voice, its preview spoken again"),
)  # fmt: skip

#: Faults of actions that the adapter never asks for: it neither queries nor deletes a voice.
NEVER_MET = frozenset({"not_found_in_200"})


def table() -> str:
    """The expectations as Markdown."""
    rows = [
        "| fault | asked for | category | class | HTTP | retry | what is read | on record |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for item in EXPECTED:
        facts = [f"`{item.code}`"] if item.code else []
        facts += [
            f"{name} {str(value).lower() if value in {True, False} else value}"
            for name, value in item.evidence
        ]
        cells = (
            f"`{item.fault}`",
            item.operation,
            str(item.category or "success"),
            str(item.failure_class or "-"),
            str(item.status),
            "-" if item.category is None else "yes" if item.retryable else "no",
            item.told,
            ", ".join(facts) or "-",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
