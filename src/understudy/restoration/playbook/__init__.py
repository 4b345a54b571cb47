"""The playbook as data, and the engine that runs it durably."""

from __future__ import annotations
