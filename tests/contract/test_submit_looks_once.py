"""An order that a venue only acknowledges and that cannot rest is read once, in the same activity.

The venue is OKX, scripted; the ledger is a fake that keeps what it was given.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from temporalio.testing import ActivityEnvironment

from activities.ledger.results import Booked
from activities.orders import VenueActivities
from tests.contract.dialect_venues.okx_venue import OkxVenue
from tests.contract.dialect_venues.scripted import Answer, Order, Seen, Trade, intent, served
from workflows.domain.orders import ChildIntent, ChildType, TimeInForce
from workflows.domain.reports import (
    ChildReport,
    ExecutionReport,
    SubmitKind,
    SubmitOutcome,
    VenueStatus,
)
from workflows.ports import Submit

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")

READ = ("GET", "/api/v5/trade/order")
CREATE = ("POST", "/api/v5/trade/order")
IMMEDIATE: tuple[dict[str, Any], ...] = (
    {"time_in_force": TimeInForce.IOC},
    {"time_in_force": TimeInForce.FOK},
    {"child_type": ChildType.MARKET, "price": None},
)


@dataclass
class FillingVenue(OkxVenue):
    """Knows the order from the moment at which it acknowledges it, as `becomes` says."""

    becomes: str = "filled"
    filled: str = "0.01"

    def answer(self, seen: Seen) -> Any:
        if (seen.method, seen.path) == CREATE:
            name, executed = seen.body["clOrdId"], self.filled
            self.orders.append(Order("312", name, state=self.becomes, filled=executed))
            if Decimal(executed):
                self.trades.append(Trade("7", "312", 1_700_000_000_000, quantity=executed))
        return super().answer(seen)


@dataclass
class FakeStore:
    """The ledger as far as `submit` asks it."""

    acks: list[ExecutionReport] = field(default_factory=list)
    booked: list[ExecutionReport] = field(default_factory=list)

    async def claim(self, *_: Any) -> None:
        """Every claim is granted."""

    async def record_ack(
        self, intent: ChildIntent, attempt: int, report: ExecutionReport, base: str, quote: str
    ) -> ChildReport:
        self.acks.append(report)
        return known(report)

    async def book_report(
        self, intent: ChildIntent, report: ExecutionReport, base: str, quote: str
    ) -> Booked:
        assert self.acks, "the acknowledgement is durable before anything else"
        assert (base, quote) == ("BTC", "USDT")
        self.booked.append(report)
        return Booked(report=known(report), new_fills=len(report.fills))


def known(report: ExecutionReport) -> ChildReport:
    return ChildReport(
        client_order_id=report.client_order_id or "",
        venue_order_id=report.venue_order_id,
        status=report.status,
        executed_quantity=report.executed_quantity,
        filled_quantity=report.filled_quantity,
        filled_quote=sum((fill.price * fill.quantity for fill in report.fills), Decimal(0)),
    )


async def submitted(
    venue: OkxVenue, store: FakeStore, *, timeout_s: float = 8, **changes: Any
) -> SubmitOutcome:
    async with served(venue) as gateway:
        activities = VenueActivities({("okx", "main"): gateway}, store)  # type: ignore[arg-type]  # a fake ledger
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info, start_to_close_timeout=timedelta(seconds=timeout_s)
        )
        request = Submit(intent=intent(venue, **changes), attempt=1)
        outcome: SubmitOutcome = await environment.run(activities.submit, request)
        return outcome


@pytest.mark.parametrize("changes", IMMEDIATE)
async def test_the_outcome_of_an_immediate_order_is_told_with_its_fills(
    changes: dict[str, Any],
) -> None:
    venue, store = FillingVenue(), FakeStore()
    outcome = await submitted(venue, store, **changes)
    assert outcome.kind is SubmitKind.ACKED
    assert outcome.report is not None
    assert outcome.report.status is VenueStatus.FILLED
    assert outcome.report.filled_quantity == Decimal("0.01")
    assert len(venue.requests(*CREATE)) == len(venue.requests(*READ)) == 1
    assert [report.status for report in store.acks] == [VenueStatus.OPEN]


async def test_a_rest_that_was_cancelled_at_once_is_told() -> None:
    venue = FillingVenue(becomes="cancelled", filled="0.004")
    outcome = await submitted(venue, FakeStore(), time_in_force=TimeInForce.IOC)
    assert outcome.report is not None
    assert outcome.report.status is VenueStatus.CANCELLED
    assert outcome.report.filled_quantity == Decimal("0.004")


async def test_an_order_that_may_rest_is_not_read() -> None:
    venue = FillingVenue(becomes="open", filled="0")
    outcome = await submitted(venue, FakeStore())
    assert outcome.kind is SubmitKind.ACKED
    assert venue.requests(*READ) == []


@pytest.mark.parametrize(
    "told",
    [
        Answer(503, "busy"),
        {"code": "51603", "msg": "Order does not exist", "data": []},
        {"code": "0", "msg": "", "data": []},
        ConnectionResetError,
    ],
)
async def test_a_look_that_fails_leaves_the_acknowledgement_as_it_is(told: Any) -> None:
    venue, store = FillingVenue(), FakeStore()
    venue.scripted[READ] = told
    outcome = await submitted(venue, store, time_in_force=TimeInForce.IOC)
    assert outcome.kind is SubmitKind.ACKED
    assert outcome.report is not None
    assert outcome.report.status is VenueStatus.OPEN
    assert store.booked == []
    assert len(venue.requests(*CREATE)) == 1


@dataclass
class SlowVenue(FillingVenue):
    """Does not answer what an order came to."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if (request.method, request.path) == READ:
            await asyncio.sleep(30)
        return await super().handle(request)


async def test_a_slow_look_takes_no_more_than_half_of_the_time_that_is_left() -> None:
    venue, store = SlowVenue(), FakeStore()
    async with asyncio.timeout(1):
        outcome = await submitted(venue, store, timeout_s=0.6, time_in_force=TimeInForce.IOC)
    assert outcome.kind is SubmitKind.ACKED
    assert store.booked == []
