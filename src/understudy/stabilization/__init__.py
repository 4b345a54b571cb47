"""Stabilization: when the candidate has carried everybody long enough that the way back may be taken down."""

from __future__ import annotations
