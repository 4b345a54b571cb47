"""What happened: call records cut into windows, and how fresh they are."""

from __future__ import annotations
