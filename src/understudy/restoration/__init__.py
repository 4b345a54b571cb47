"""The restoration loop: notice, step back, prove it, write it down."""

from __future__ import annotations
