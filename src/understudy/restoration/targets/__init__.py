"""Deployments that a restoration acts on."""

from __future__ import annotations
