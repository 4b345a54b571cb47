"""Drills: each trigger caused for real through the stand-ins, under live load, and its restoration timed.

A drill starts a service of its own with a guard store of its own, so that whatever happens everything is put
back by ending it.
"""

from __future__ import annotations
