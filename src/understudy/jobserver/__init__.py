"""The server side of Modal's five URLs: what the stand-in and the deployed Modal app both run.

Nothing here knows a web framework, an engine or the product: the standard library and ``errors`` are enough.
"""

from __future__ import annotations
