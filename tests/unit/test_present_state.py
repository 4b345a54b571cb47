"""What is recorded as known-good must be what serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from understudy.cli.present_state import Code, check_served
from understudy.errors import ConfigurationError
from understudy.restoration.targets.base import Target

pytestmark = pytest.mark.unit

COMMIT = "23296aa5225d" + "0" * 28


@dataclass(frozen=True)
class Serving:
    """As far as this question goes, a target."""

    held: str | None

    async def revision(self) -> str | None:
        return self.held


async def ask(held: str | None, here: str | None) -> None:
    await check_served(cast("Target", Serving(held)), Code(here, None, None, None))


@pytest.mark.parametrize("held", [None, COMMIT])
async def test_what_serves_or_cannot_say_may_be_recorded(held: str | None) -> None:
    await ask(held, COMMIT)
    await ask(held, None)


async def test_two_states_of_one_commit_are_told_apart() -> None:
    with pytest.raises(ConfigurationError) as refused:
        await ask(f"{COMMIT}+1111aaaa", f"{COMMIT}+2222bbbb")
    assert refused.value.message == (
        "The processes run revision 23296aa5225d+1111aaaa, and the code here is 23296aa5225d+2222bbbb, which "
        "has proven nothing. Start the processes anew from it first: understudy up"
    )


async def test_another_commit_can_be_deployed() -> None:
    with pytest.raises(ConfigurationError, match=r"understudy releases deploy 23296aa5225d$"):
        await ask("f" * 40, COMMIT)
