"""DashScope and Modal on loopback: their real wire protocols, real speech, faults on demand.

For development, tests and drills only. What each server must do is in the fact sheets; what the
vendor does not document is a choice made here, and named where it is made.
"""

from __future__ import annotations
