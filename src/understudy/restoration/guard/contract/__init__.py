"""The guard's API as models: what each route takes and answers, and the OpenAPI document of it all."""

from __future__ import annotations

from understudy.restoration.guard.contract.document import EVENTS, openapi_document
from understudy.restoration.guard.contract.routes import ROUTES, Route

__all__ = ["EVENTS", "ROUTES", "Route", "openapi_document"]
