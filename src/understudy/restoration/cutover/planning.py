"""The plan of a cutover: everything that decides what it will do, and the digest that names it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.restoration.playbook.cutover_policy import Cutover
from understudy.restoration.targets.preflight import QWEN_PINS
from understudy.rollout.cutover import Share
from understudy.settings import Settings
from understudy.store.carry_over import Destination
from understudy.store.journal import canonical_json

#: Digits of a plan's digest that a person types.
SHORT = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, with its digest."""

    document: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Changes with everything that decides what the cutover does."""
        return _digest(self.document)

    @property
    def candidate(self) -> str:
        """Who is to serve."""
        return str(self.document["candidate"])

    @property
    def owner(self) -> str:
        """Who answers for it."""
        return str(self.document["owner"])


def plan_cutover(
    policy: Cutover,
    settings: Settings,
    destination: Destination,
    *,
    environment: str,
    owner: str,
    revision: str | None,
) -> Plan:
    """Write down what a cutover to ``destination`` will do; pure, so the same again is the same plan.

    Parameters
    ----------
    revision
        Of the code that serves; ``None`` where nobody knows.
    """
    return Plan(
        {
            "environment": environment,
            "owner": owner,
            "candidate": destination.provider,
            "known_good": settings.known_good_provider,
            "destination": {
                "provider": destination.provider,
                "models": dict(destination.models),
                "region": destination.region,
                "strict": destination.strict,
            },
            "used_within_days": policy.preflight.used_within_days,
            "stages": [stage.model_dump() for stage in policy.stages],
            "confidence_percent": policy.confidence_percent,
            "settings": {name: str(getattr(settings, name.lower())) for name in QWEN_PINS},
            "revision": revision,
        }
    )


def subject_of(document: Mapping[str, Any]) -> str:
    """Return the digest of what is the same cutover anywhere: to whom, as which models, in which code."""
    destination = document["destination"]
    same = {
        "candidate": document["candidate"],
        "models": destination["models"],
        "region": destination["region"],
        "revision": document["revision"],
    }
    return _digest(same)


def share_of(document: Mapping[str, Any], percent: int) -> Share:
    """Return how a plan chooses the tenants of that share."""
    return Share(percent, Destination(**document["destination"]), int(document["used_within_days"]))


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
