"""Releases: a revision of this service beside all that it needs to run: going back installs nothing."""

from __future__ import annotations
