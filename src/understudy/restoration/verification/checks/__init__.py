"""The smoke suite's checks, one noun a module: each proves a promise or says what broke it."""

from __future__ import annotations
