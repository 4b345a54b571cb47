"""What every model of the guard's contract is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

#: Plain data whose fields belong to whoever wrote it: evidence, a policy, a plan's step.
Document = dict[str, Any]


class Answer(BaseModel):
    """An answer: every field is always there; more may be."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Problem(Answer):
    """Every error."""

    detail: str
