"""Which provider speaks: the provider mode and its switch."""

from __future__ import annotations
