"""Backups of the product's database and of its stored audio: made, proven, kept, restored beside."""

from __future__ import annotations
