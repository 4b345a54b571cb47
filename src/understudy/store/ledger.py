"""The ledger: what is reserved before a provider is called, what it came to, and what may still be spent.

Reserving is one statement; :func:`understudy.store.calls.settle_call` adds what each call cost; a reservation
ends at the commit that ends its task, whoever ends it (a deferred trigger on ``public.tasks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

Connection = AsyncConnection[DictRow]

#: Scope of a limit on all tenants together.
EVERYBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of one budget; 0 is none."""

    tenant: int
    everybody: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was reserved: a closed valve, or a budget that the amount does not fit into.

    Parameters
    ----------
    everybody
        The limit is on all tenants together.
    most, used
        In the budget's unit: micro-dollars, or creates.
    ends_at
        End of the budget's window, UTC; ``None`` for a valve.
    """

    valve: str | None = None
    budget: str | None = None
    everybody: bool = False
    most: int = 0
    used: int = 0
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a task reserves, under which limits.

    Parameters
    ----------
    amount
        Micro-dollars.
    amounts
        By the kind of the voice, where that makes a difference and is not known yet.
    limits
        By budget; what ``understudy budget set`` says counts before them.
    """

    operation: str
    provider: str
    amount: int
    billed_create: bool
    at: datetime
    limits: Mapping[str, Caps]
    amounts: Mapping[str, int] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, object]:
        """What :data:`RESERVED` is given, besides the user."""
        return {
            "operation": self.operation,
            "reserved_at": self.provider,
            "amount": self.amount,
            "amounts": Jsonb(dict(self.amounts)),
            "billed_create": self.billed_create,
            "at": self.at,
            "limits": Jsonb(
                {
                    name: {"tenant": caps.tenant, "everybody": caps.everybody}
                    for name, caps in self.limits.items()
                    if caps.tenant or caps.everybody
                }
            ),
        }


#: Reserves, in a statement that says which task and for which kind of voice; null once it is reserved.
RESERVED = (
    "understudy.reserve_cost({task}, %(user_id)s, %(operation)s, %(reserved_at)s,"
    " coalesce((%(amounts)s::jsonb ->> {kind})::bigint, %(amount)s::bigint), %(billed_create)s,"
    " exists (select from understudy.synthetic_users where user_id = %(user_id)s), %(at)s, %(limits)s)"
)
_RESERVE = f"select {RESERVED.format(task='%(task_id)s', kind='null')} as refusal".encode()


async def reserve(conn: Connection, *, task_id: UUID, user_id: UUID, terms: Terms) -> Refusal | None:
    """Reserve what a task may cost; ``None`` when it is reserved. A canary's is, whatever the limits."""
    cursor = await conn.execute(_RESERVE, {"task_id": task_id, "user_id": user_id, **terms.values})
    row = await cursor.fetchone()
    return refusal_of(row["refusal"] if row else None)


def refusal_of(said: dict[str, Any] | None) -> Refusal | None:
    """What :data:`RESERVED` answered."""
    if said is None:
        return None
    ends_at = said.pop("ends_at", None)
    return Refusal(**said, ends_at=datetime.fromisoformat(ends_at) if ends_at else None)


async def move(conn: Connection, task_id: UUID, *, provider: str, amount: int, billed_create: bool) -> None:
    """Reserve for another provider, in place of the one that the task was admitted for; never refused."""
    await conn.execute(
        "select understudy.move_reservation(%s, %s, %s, %s)", (task_id, provider, amount, billed_create)
    )
