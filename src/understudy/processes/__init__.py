"""Processes of one machine: supervision, handover of the listening socket, the control socket."""

from __future__ import annotations
