"""Forward again: what must be so before a cutover, when a stage may go on, and what brings everybody back."""

from __future__ import annotations
