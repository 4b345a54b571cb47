"""Postgres, the guard's store, objects: the only place with SQL."""

from __future__ import annotations
