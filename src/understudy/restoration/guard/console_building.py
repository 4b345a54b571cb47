"""The parts of the guard's console, put together: one line for each."""

from __future__ import annotations

from understudy.frontend import Frontend
from understudy.restoration.guard.console_about import About
from understudy.restoration.guard.console_audit import Audit
from understudy.restoration.guard.console_backups import Backups
from understudy.restoration.guard.console_charts import Charts
from understudy.restoration.guard.console_cutover import Cutover
from understudy.restoration.guard.console_drills import Drills
from understudy.restoration.guard.console_incidents import IncidentViews
from understudy.restoration.guard.console_jobs import JobRoutes
from understudy.restoration.guard.console_parts import ConsoleContext, ConsolePart
from understudy.restoration.guard.console_playbook import PlaybookPages
from understudy.restoration.guard.console_restorations import Restorations
from understudy.restoration.guard.jobs import Jobs
from understudy.restoration.guard.pages import Pages


def parts_of(context: ConsoleContext) -> list[ConsolePart]:
    """Return every part that a guard's console has beside its core."""
    jobs = Jobs(context.store, context.clock, context.redactor)
    return [
        About(),
        Charts(context),
        IncidentViews(context),
        Cutover(context),
        Backups(context, jobs),
        Drills(context, jobs),
        PlaybookPages(context, jobs),
        Restorations(context),
        Audit(context, jobs),
        JobRoutes(context, jobs),
        Pages(Frontend(context.settings.understudy_frontend_dir)),
    ]
