"""Speech providers behind one interface."""

from __future__ import annotations
