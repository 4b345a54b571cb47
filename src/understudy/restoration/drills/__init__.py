"""Drills: each trigger caused for real, restored, verified and put back."""

from __future__ import annotations
