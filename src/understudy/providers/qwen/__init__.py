"""Qwen realtime on Alibaba DashScope: enrolment and design over REST, speech over a WebSocket."""

from __future__ import annotations
