"""What the gateway makes of OKX's faults: a rejection where nothing can be live, else unknown.

And of the faults of its private stream: whatever is lost, late or told twice there is only late.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway, VenueConfig, open_gateway
from activities.venues.gateway import (
    OutcomeUnknownError,
    StreamEvent,
    StreamTrade,
    VenueClockError,
    VenueRejectedError,
    VenueUnavailableError,
)
from tests.contract.faulty_venue import FaultyVenue
from tests.contract.okx_faulty_venue import PASSPHRASE, okx_faulty_venue
from tests.contract.paper_venue import KEY, PAIR, SECRET
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, RejectionFamily, VenueStatus

D = Decimal
WAIT_S = 10.0
UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in ("drop_before", "drop_after", "hang_before", "hang_after")],
    *[(name, {}) for name in ("accept_then_timeout", "accept_then_reset", "accept_then_5xx")],
    *[(name, {}) for name in ("reject_then_timeout", "rate_limited", "firewall", "server_error")],
    *[(name, {}) for name in ("maintenance", "html", "empty", "not_utf8", "truncated")],
    ("missing_fields", {}),
    ("maintenance", {"html": True}),
    ("truncated", {"cut": "connection"}),
    ("banned", {"for_s": 0.1}),
    ("answer", {"body": []}),
    ("answer", {"body": {"code": "0", "msg": "", "data": []}}),
    *[("unknown_code", {"executed": executed}) for executed in (True, False)],
    *[("unknown_code", {"code": 50013, "executed": executed}) for executed in (True, False)],
    ("refuse", {"code": 51016, "message": "Client order ID already exists."}),
    ("replace_fields", {"fields": {"data.0.ordId": ""}}),
    ("replace_fields", {"fields": {"data.0.clOrdId": client_order_id("other", 0)}}),
]
REJECTED: list[tuple[dict[str, Any], RejectionFamily]] = [
    ({"code": 51008, "message": "Order failed. Insufficient USDT balance in account"},
     RejectionFamily.BALANCE),
    ({}, RejectionFamily.FILTER),
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


@dataclass
class Engine:
    """Our gateway at a faulty venue."""

    venue: FaultyVenue
    gateway: CcxtGateway
    made: int = 0

    def intent(self, **changes: Any) -> ChildIntent:
        """A market buy unless changed, under an id of its own."""
        self.made += 1
        fields: dict[str, Any] = {
            "client_order_id": client_order_id("faulty", self.made),
            "order_id": "faulty",
            "child_index": self.made,
            "strategy_id": "s",
            "account": "main",
            "venue": "okx",
            "symbol": PAIR,
            "side": Side.BUY,
            "child_type": ChildType.MARKET,
            "quantity": D("0.01"),
        }
        return ChildIntent(**(fields | changes))

    async def send(self, intent: ChildIntent) -> ExecutionReport:
        return await self.gateway.submit(intent, signed_at_ms=await self.gateway.venue_time_ms())

    async def resting(self, quantity: str = "0.01") -> ChildIntent:
        """A buy of ours that only `fill` reaches."""
        limit = {"child_type": ChildType.LIMIT, "price": D(40_000), "quantity": D(quantity)}
        intent = self.intent(**limit)
        await self.send(intent)
        return intent

    async def fill(self, intent: ChildIntent, quantity: str | None = None) -> None:
        given = {} if quantity is None else {"quantity": quantity}
        name = intent.client_order_id
        await self.venue.faults.act("fill", client_order_id=name, **given)

    def trade_ids(self, intent: ChildIntent) -> list[str]:
        """As the exchange numbered them."""
        return [str(t.trade_id) for t in self.venue.log.trades_named(intent.client_order_id)]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with okx_faulty_venue(tmp_path) as venue:
        access = VenueConfig(
            venue="okx",
            account="main",
            api_key=KEY,
            secret=SECRET,
            passphrase=PASSPHRASE,
            paper_url=venue.venue.served.base_url,
            http_deadline_s=D("0.5"),
        )
        gateway = open_gateway(access)
        try:
            await gateway.instrument(PAIR)
            yield Engine(venue, gateway)
        finally:
            await gateway.close()


async def test_an_order_that_is_told_without_its_client_id_is_nobodys(engine: Engine):
    """A broken answer, which must not make the order somebody else's."""
    intent = engine.intent()
    placed = await engine.send(intent)
    answer = {"method": "GET", "path": "/trade/order", "field": "clOrdId"}
    await engine.venue.faults.add("missing_fields", **answer)
    with pytest.raises(VenueUnavailableError, match="clOrdId"):
        await engine.gateway.read_order(PAIR, placed.venue_order_id)
    told = await engine.gateway.read_order(PAIR, placed.venue_order_id)
    assert told.report.client_order_id == intent.client_order_id


async def test_an_order_with_an_empty_client_id_is_somebody_elses(engine: Engine):
    by_hand = await engine.send(engine.intent())
    blank = {"data.0.clOrdId": ""}
    await engine.venue.faults.add("replace_fields", method="GET", path="/trade/order", fields=blank)
    told = await engine.gateway.read_order(PAIR, by_hand.venue_order_id)
    assert told.report.client_order_id is None


@pytest.mark.parametrize(("fault", "options"), UNKNOWN)
async def test_whatever_is_no_trustworthy_answer_is_unknown(engine: Engine, fault, options):
    rule = await engine.venue.faults.add(fault, purpose="submit", **options)
    with pytest.raises(OutcomeUnknownError):
        await engine.send(engine.intent())
    assert await engine.venue.faults.hits(rule) == 1


@pytest.mark.parametrize(("options", "family"), REJECTED)
async def test_a_definite_refusal_is_a_rejection(engine: Engine, options, family):
    await engine.venue.faults.add("refuse", purpose="submit", **options)
    with pytest.raises(VenueRejectedError) as refused:
        await engine.send(engine.intent())
    assert refused.value.family is family


async def test_a_halted_symbol_is_a_rejection(engine: Engine):
    await engine.venue.faults.act("halt_symbol", symbol=PAIR)
    with pytest.raises(VenueRejectedError):
        await engine.send(engine.intent())
    assert engine.venue.log.orders == {}


async def test_a_refused_timestamp_is_told_apart(engine: Engine):
    await engine.venue.faults.add("bad_timestamp", purpose="submit")
    with pytest.raises(VenueClockError):
        await engine.send(engine.intent())


@pytest.mark.parametrize("fault", ["extra_fields", "answer_twice"])
async def test_what_does_no_harm_is_no_fault(engine: Engine, fault: str):
    await engine.venue.faults.add(fault, purpose="submit")
    for _ in range(2):
        intent = engine.intent()
        told = await engine.send(intent)
        assert told.client_order_id == intent.client_order_id
        found = await engine.gateway.find(PAIR, intent.client_order_id, since_ms=0)
        assert (found.status, found.venue_order_id) == (VenueStatus.FILLED, told.venue_order_id)


async def test_an_order_that_is_not_visible_yet_is_not_taken_for_absent_once_it_has_traded(
    engine: Engine,
):
    intent = engine.intent()
    await engine.send(intent)
    await engine.venue.faults.add("not_found", client_order_id=intent.client_order_id, for_s=0.5)
    with pytest.raises(VenueUnavailableError):
        await engine.gateway.find(PAIR, intent.client_order_id, since_ms=0)


# --- the private stream ---------------------------------------------------------------------------


async def next_trade(events: AsyncIterator[StreamEvent]) -> StreamTrade:
    async with asyncio.timeout(WAIT_S):
        while not isinstance(event := await anext(events), StreamTrade):
            pass
    return event


async def test_a_lost_event_is_never_sent_and_the_next_one_is(engine: Engine):
    intent = await engine.resting()
    lost = {"client_order_id": intent.client_order_id}
    rule = await engine.venue.faults.add("event_lost", **lost)
    async with engine.gateway.stream() as events:
        await engine.fill(intent, "0.004")
        await engine.fill(intent, "0.006")
        told = await next_trade(events)
    assert told.trade.fill.quantity == D("0.006")
    assert await engine.venue.faults.hits(rule) == 1


async def test_late_and_reordered_events_come_after_those_that_followed(engine: Engine):
    for fault, options in (("event_late", {"delay_s": 0.3}), ("event_reorder", {"depth": 1})):
        first, second = await engine.resting(), await engine.resting()
        await engine.venue.faults.add(fault, client_order_id=first.client_order_id, **options)
        async with engine.gateway.stream() as events:
            await engine.fill(first)
            await engine.fill(second)
            told = [int((await next_trade(events)).trade.fill.trade_id) for _ in range(2)]
        assert told == sorted(told, reverse=True), fault


async def test_a_duplicated_event_names_the_same_trade(engine: Engine):
    intent, after = await engine.resting(), await engine.resting()
    name = intent.client_order_id
    rule = await engine.venue.faults.add("event_duplicate", client_order_id=name, copies=3)
    async with engine.gateway.stream() as events:
        await engine.fill(intent)
        await engine.fill(after)
        [[own], [last]] = [engine.trade_ids(each) for each in (intent, after)]
        told = []
        while last not in told:
            told.append((await next_trade(events)).trade.fill.trade_id)
    assert set(told) == {own, last}
    assert await engine.venue.faults.hits(rule) == 1
    assert len(engine.venue.log.trades_named(name)) == 1


async def test_an_answer_can_be_held_until_its_events_have_come(engine: Engine):
    intent = engine.intent()
    rule = await engine.venue.faults.add("event_before_ack", client_order_id=intent.client_order_id)
    async with engine.gateway.stream() as events:
        answered = asyncio.create_task(engine.send(intent))
        await next_trade(events)
        assert not answered.done()
        await answered
    assert await engine.venue.faults.hits(rule) == 1


async def test_a_fill_can_come_after_the_answer_to_the_cancel(engine: Engine):
    intent = await engine.resting()
    name = intent.client_order_id
    await engine.venue.faults.add("event_after_cancel_ack", client_order_id=name)
    async with engine.gateway.stream() as events:
        await engine.fill(intent, "0.004")
        order = await engine.gateway.find(PAIR, name, since_ms=0)
        await engine.gateway.cancel(PAIR, order.venue_order_id)
        statuses = []
        async with asyncio.timeout(WAIT_S):
            while not isinstance(event := await anext(events), StreamTrade):
                statuses.append(event.order.report.status)
    assert statuses[0] is VenueStatus.CANCELLED
    assert event.trade.fill.quantity == D("0.004")


async def test_a_cut_ends_the_stream_and_a_new_one_works(engine: Engine):
    async with engine.gateway.stream() as events:
        assert await engine.venue.faults.act("stream", mode="cut") == {"connections": 1}
        with pytest.raises(VenueUnavailableError, match="stream lost"):
            await next_trade(events)
    async with engine.gateway.stream() as events:
        await engine.fill(await engine.resting())
        await next_trade(events)


async def test_a_silent_stream_says_nothing_until_it_is_normal_again(engine: Engine):
    first, second = await engine.resting(), await engine.resting()
    async with engine.gateway.stream() as events:
        await engine.venue.faults.act("stream", mode="silent", account="main")
        await engine.fill(first)
        await engine.venue.faults.act("stream", mode="normal", account="main")
        await engine.fill(second)
        told = await next_trade(events)
    assert [told.trade.fill.trade_id] == engine.trade_ids(second)
