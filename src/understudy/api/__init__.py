"""HTTP: routes, auth, errors, streaming; thin over :mod:`understudy.speech`."""

from __future__ import annotations
