"""The demo: one story told by driving ``understudy up`` from outside, over HTTP, like a user."""

from __future__ import annotations
