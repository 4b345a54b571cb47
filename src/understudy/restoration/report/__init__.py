"""The incident report: written from the journal, and recomputed from it to be believed."""

from __future__ import annotations

from understudy.restoration.report.document import IncidentReport, build_report, write_report
from understudy.restoration.report.proof import ReportVerdict, verify_report

__all__ = ["IncidentReport", "ReportVerdict", "build_report", "verify_report", "write_report"]
