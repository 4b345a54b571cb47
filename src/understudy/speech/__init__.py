"""The rules of voices, generations and tasks; no HTTP, no SQL."""

from __future__ import annotations
