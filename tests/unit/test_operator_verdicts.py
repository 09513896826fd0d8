"""A child that the engine cannot find out about follows what an operator says, within reason."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ledger.results import AttemptState, AttemptTruth, Booked
from activities.reads import ProofWindow, VenueDataActivities
from activities.venues.gateway import OrderAbsentError, VenueOrder
from tests.workflows.fakes import INSTRUMENT
from tests.workflows.test_settle_order import intent
from workflows.domain.alarms import AlarmCode
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import ChildReport, ExecutionReport, VenueStatus
from workflows.ports import Resolve, Resolved, ResolveKind
from workflows.steering_messages import ResolveRequest, Verdict, parse_resolve

CHILD = intent()
SIGNED_AT_MS = 1_000_000
REPORT = ExecutionReport(
    venue_order_id="77",
    client_order_id=None,
    status=VenueStatus.OPEN,
    executed_quantity=Decimal(0),
    fills=(),
    venue_time_ms=SIGNED_AT_MS,
)


class Venue:
    """Knows one order by its own id, and nothing by ours."""

    def __init__(self, order: VenueOrder | None, found: ExecutionReport | None = None) -> None:
        self.order = order
        self.found = found

    async def venue_time_ms(self) -> int:
        return SIGNED_AT_MS  # nothing is proven yet

    async def find(self, *args: Any, **kwargs: Any) -> Any:
        if self.found is not None:
            return self.found
        raise OrderAbsentError("never heard of it")

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder:
        if self.order is None or venue_order_id != self.order.report.venue_order_id:
            raise OrderAbsentError("never heard of it")
        return self.order

    async def instrument(self, symbol: str) -> Any:
        return INSTRUMENT


class Ledger:
    """One attempt that was sent; what an operator decided of it."""

    def __init__(self, verdict: tuple[Verdict, str | None] | None) -> None:
        self.verdict = verdict
        self.proven_absent = False
        self.booked: list[ExecutionReport] = []
        self.alarms: list[str] = []

    async def verdict_on(self, client_order_id: str, attempt: int) -> Any:
        return self.verdict

    async def close_attempt(self, client_order_id: str, attempt: int) -> AttemptTruth:
        return AttemptTruth(
            known=True, epoch="e", state=AttemptState.UNKNOWN, signed_at_ms=SIGNED_AT_MS
        )

    async def prove_absent(self, client_order_id: str, attempt: int) -> None:
        self.proven_absent = True

    async def book_report(
        self, intent: ChildIntent, report: ExecutionReport, base: str, quote: str
    ) -> Booked:
        self.booked.append(report)
        known = ChildReport(
            client_order_id=intent.client_order_id,
            venue_order_id=report.venue_order_id,
            status=report.status,
            executed_quantity=report.executed_quantity,
            filled_quantity=Decimal(0),
            filled_quote=Decimal(0),
            fees={},
        )
        return Booked(report=known, new_fills=0, conflicts=())

    async def raise_alarm(self, code: str, about: str, detail: str) -> None:
        self.alarms.append(code)


def at_venue(**changes: Any) -> VenueOrder:
    known = VenueOrder(
        symbol=CHILD.symbol,
        side=CHILD.side,
        quantity=CHILD.quantity,
        price=CHILD.price,
        report=REPORT,
    )
    return replace(known, **changes)


async def resolved(
    ledger: Ledger, order: VenueOrder | None = None, found: ExecutionReport | None = None
) -> Resolved:
    gateways: Any = {(CHILD.venue, CHILD.account): Venue(order, found)}
    store: Any = ledger
    no_markets: Any = None
    window = ProofWindow(validity_ms=5_000, read_lag_ms=10_000)
    activities = VenueDataActivities(gateways, store, store, window, no_markets)
    environment = ActivityEnvironment()
    asked_first = datetime.now(UTC) - timedelta(seconds=1)
    environment.info = replace(environment.info, scheduled_time=asked_first)
    request = Resolve(intent=CHILD, attempt=1, epoch="e")
    return await asyncio.wait_for(environment.run(activities.resolve, request), 10)


async def test_absent_is_believed_before_it_could_be_proven():
    ledger = Ledger((Verdict.ABSENT, None))
    assert (await resolved(ledger)).kind is ResolveKind.PROVEN_ABSENT
    assert ledger.proven_absent


@pytest.mark.parametrize("wrong", [(Verdict.ABSENT, None), (Verdict.ADOPT, "78")])
async def test_an_order_that_the_venue_shows_is_adopted_whatever_was_said_of_it(wrong: Any):
    ledger = Ledger(wrong)
    told = await resolved(ledger, found=REPORT)
    assert told.kind is ResolveKind.ADOPTED
    assert not ledger.proven_absent
    assert ledger.alarms == [AlarmCode.VERDICT_NOT_FOLLOWED]


async def test_without_a_verdict_absence_must_be_proven():
    ledger = Ledger(None)
    with pytest.raises(ApplicationError):
        await resolved(ledger)
    assert not ledger.proven_absent


async def test_an_order_that_was_named_is_read_and_adopted():
    ledger = Ledger((Verdict.ADOPT, "77"))
    told = await resolved(ledger, at_venue())
    assert told.kind is ResolveKind.ADOPTED
    assert told.report is not None
    assert told.report.venue_order_id == "77"
    assert len(ledger.booked) == 1


@pytest.mark.parametrize("changes", [{"side": Side.SELL}, {"quantity": Decimal("0.2")}])
async def test_an_order_that_cannot_be_the_child_is_not_adopted(changes: dict[str, Any]):
    ledger = Ledger((Verdict.ADOPT, "77"))
    with pytest.raises(ApplicationError):
        await resolved(ledger, at_venue(**changes))
    assert (ledger.booked, ledger.alarms) == ([], [AlarmCode.VERDICT_NOT_FOLLOWED])


async def test_an_order_that_the_venue_does_not_know_is_asked_for_again():
    ledger = Ledger((Verdict.ADOPT, "78"))
    with pytest.raises(ApplicationError):
        await resolved(ledger, at_venue())
    assert ledger.booked == []


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{}", "child"),
        (b'{"child":0,"verdict":"adopt","reason":"x"}', "exchange_order_id"),
        (
            b'{"child":0,"verdict":"absent","reason":"x","exchange_order_id":"7"}',
            "exchange_order_id",
        ),
        (b'{"child":-1,"verdict":"absent","reason":"x"}', "child"),
        (b'{"child":0,"verdict":"perhaps","reason":"x"}', "verdict"),
        (b'{"child":0,"verdict":"absent"}', "reason"),
        (b'{"child":0,"verdict":"absent","reason":""}', "reason"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused_by_its_field(raw: bytes, field: str):
    asked = parse_resolve(raw)
    assert not isinstance(asked, ResolveRequest)
    assert asked.field == field
