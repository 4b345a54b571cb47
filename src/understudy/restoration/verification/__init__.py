"""Proof from outside that the service is back."""

from __future__ import annotations
