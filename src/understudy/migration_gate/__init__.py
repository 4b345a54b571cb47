"""The migration gate: what each statement of a migration does to what is there, and the proof of it."""

from __future__ import annotations
