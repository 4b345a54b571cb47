"""A smoke run as JUnit XML, for whatever runs it in a pipeline."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from understudy.restoration.verification.evidence import CheckEvidence, Outcome, SmokeResult


def to_junit(result: SmokeResult) -> str:
    """Return ``result`` as one JUnit test suite; a blocked check is an error, so it never looks green."""
    outcomes = [check.outcome for check in result.checks]
    suite = ET.Element(
        "testsuite",
        name="understudy smoke",
        tests=str(len(outcomes)),
        failures=str(outcomes.count(Outcome.FAILED)),
        errors=str(outcomes.count(Outcome.BLOCKED)),
        skipped="0",
        time=_seconds(result.duration_ms),
        timestamp=result.started_at.replace(tzinfo=None).isoformat(timespec="seconds"),
        hostname=_printable(result.base_url),
    )
    for check in result.checks:
        _add_case(suite, check)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, check: CheckEvidence) -> None:
    case = ET.SubElement(
        suite, "testcase", classname="smoke", name=check.name, time=_seconds(check.duration_ms)
    )
    detail = _printable(check.detail)
    if check.outcome is not Outcome.PASSED:
        kind = "failure" if check.outcome is Outcome.FAILED else "error"
        ET.SubElement(case, kind, message=detail, type=check.outcome.value).text = detail
    lines = [
        f"{request.at.isoformat(timespec='milliseconds')} {request.method} {request.path} "
        f"{request.status or 'no answer'} {request.duration_ms} ms sha256={request.digest or '-'}"
        for request in check.requests
    ]
    ET.SubElement(case, "system-out").text = _printable("\n".join([check.detail, *lines]))


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _printable(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped; a deployment's sentence may hold them."""
    return "".join(
        char
        if char in "\n\t" or (char >= " " and char not in "\ufffe\uffff" and not _surrogate(char))
        else "?"
        for char in text
    )


def _surrogate(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"
