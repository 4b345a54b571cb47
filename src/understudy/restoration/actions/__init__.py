"""What a rung of the ladder does."""

from __future__ import annotations
