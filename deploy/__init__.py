"""What runs elsewhere: the Modal app (``modal deploy -m deploy.modal_app``) and the services of a host."""

from __future__ import annotations
