"""Telling the workflows of our orders what was booked of them.

Rule: owners get totals (`ChildReport`), so telling twice or late does no harm. Only orders that may
rest are told: the others are read by their own workflow within milliseconds. It must not know
venues.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger.store import LedgerStore
from workflows import names
from workflows.domain.alarms import AlarmCode
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport

AT_ONCE = 4
"""Orders that are worked side by side; more would take the pool from those who send orders."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidings:
    """What is booked of a child; `is_new` if it had a fill that was not booked before."""

    intent: ChildIntent
    report: ChildReport
    is_new: bool = False


class Owners:
    """The workflows of our orders, as the feed sees them."""

    def __init__(self, store: LedgerStore, client: Client) -> None:
        self._store, self._client = store, client

    async def tell(self, tidings: Sequence[Tidings]) -> None:
        """Signal each owner. Raises RPCError when Temporal cannot be reached."""
        await side_by_side(self._tell(each) for each in tidings if each.intent.may_rest)

    async def _tell(self, tidings: Tidings) -> None:
        intent = tidings.intent
        handle = self._client.get_workflow_handle(names.owner_of(intent.order_id))
        try:
            await handle.signal(names.EXECUTION_REPORT, tidings.report)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if tidings.is_new:
                await self._store.raise_alarm(
                    AlarmCode.FILL_AFTER_CLOSE,
                    intent.client_order_id,
                    f"order_id={intent.order_id}",
                )


async def side_by_side(works: Iterable[Awaitable[T]]) -> list[T]:
    """The results in order, AT_ONCE at a time. All are tried; then the first error is raised."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[T]) -> T:
        async with gate:
            return await work

    outcomes = await asyncio.gather(*map(one, works), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
