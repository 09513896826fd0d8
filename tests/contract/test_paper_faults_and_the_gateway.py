"""What the gateway makes of each fault: a rejection where nothing can be live, else unknown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.venues import ccxt_link
from activities.venues.ccxt_gateway import CcxtGateway, VenueConfig, open_gateway
from activities.venues.gateway import (
    OutcomeUnknownError,
    VenueClockError,
    VenueRejectedError,
    VenueUnavailableError,
)
from tests.contract.faulty_venue import FaultyVenue, faulty_venue
from tests.contract.paper_venue import KEY, PAIR, SECRET
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, RejectionFamily, VenueStatus

UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in ("drop_before", "drop_after", "hang_before", "hang_after")],
    *[(name, {}) for name in ("accept_then_timeout", "accept_then_reset", "accept_then_5xx")],
    *[(name, {}) for name in ("reject_then_timeout", "rate_limited", "firewall", "server_error")],
    *[(name, {}) for name in ("maintenance", "html", "empty", "not_utf8", "nan")],
    *[(name, {}) for name in ("missing_fields", "truncated")],
    ("maintenance", {"html": True}),
    ("truncated", {"cut": "connection"}),
    ("banned", {"for_s": 0.1}),
    ("answer", {"body": []}),
    *[
        ("unknown_code", {"code": code, "status": status, "executed": executed})
        for code in (-1006, -1007)
        for status in (400, 408, 500)
        for executed in (True, False)
    ],
    ("refuse", {"message": "Duplicate order sent."}),
    *[
        ("replace_fields", {"fields": fields})
        for fields in (
            {"executedQty": "7"},
            {"executedQty": "0.02", "origQty": "0.02", "fills.0.qty": "0.02"},
            {"executedQty": "0.00500000"},
            {"executedQty": "-1"},
            {"fills.0.qty": "0.009"},
            {"status": "PENDING_NEW"},
            {"orderId": None},
            {"clientOrderId": client_order_id("other", 0)},
        )
    ],
]
REJECTED: list[tuple[dict[str, Any], RejectionFamily]] = [
    ({"message": "Account has insufficient balance for requested action."},
     RejectionFamily.BALANCE),
    ({"code": -1013, "message": "Filter failure: LOT_SIZE"}, RejectionFamily.FILTER),
    ({"code": -1013, "message": "Market is closed."}, RejectionFamily.PERMISSION),
]  # fmt: skip


@dataclass
class Engine:
    """Our gateway at a faulty venue."""

    venue: FaultyVenue
    gateway: CcxtGateway

    async def submit(self, **changes: Any) -> ExecutionReport:
        fields: dict[str, Any] = {
            "client_order_id": client_order_id("faulty", 0),
            "order_id": "faulty",
            "child_index": 0,
            "strategy_id": "s",
            "account": "main",
            "venue": "binance",
            "symbol": PAIR,
            "side": Side.BUY,
            "child_type": ChildType.MARKET,
            "quantity": Decimal("0.01"),
        }
        intent = ChildIntent(**(fields | changes))
        return await self.gateway.submit(intent, signed_at_ms=await self.gateway.venue_time_ms())


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Engine]:
    async with faulty_venue(folder) as venue:
        access = VenueConfig(
            venue="binance",
            account="main",
            api_key=KEY,
            secret=SECRET,
            paper_url=venue.venue.served.base_url,
            http_deadline_s=Decimal("0.5"),
        )
        gateway = open_gateway(access)
        try:
            await gateway.instrument(PAIR)
            yield Engine(venue, gateway)
        finally:
            await gateway.close()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened(tmp_path) as engine:
        yield engine


@pytest.mark.parametrize(("fault", "options"), UNKNOWN)
async def test_whatever_is_no_trustworthy_answer_is_unknown(engine: Engine, fault, options):
    rule = await engine.venue.faults.add(fault, method="POST", **options)
    with pytest.raises(OutcomeUnknownError):
        await engine.submit()
    assert await engine.venue.faults.hits(rule) == 1


async def test_an_order_that_is_told_without_its_client_id_is_nobodys(engine: Engine):
    """A broken answer, which must not make the order somebody else's."""
    placed = await engine.submit()
    field = "clientOrderId"
    await engine.venue.faults.add("missing_fields", method="GET", path="/order", field=field)
    with pytest.raises(VenueUnavailableError, match=field):
        await engine.gateway.read_order(PAIR, placed.venue_order_id)
    told = await engine.gateway.read_order(PAIR, placed.venue_order_id)
    assert told.report.client_order_id == placed.client_order_id


@pytest.mark.parametrize(("options", "family"), REJECTED)
async def test_a_definite_refusal_is_a_rejection(engine: Engine, options, family):
    await engine.venue.faults.add("refuse", method="POST", **options)
    with pytest.raises(VenueRejectedError) as refused:
        await engine.submit()
    assert refused.value.family is family


async def test_a_refused_timestamp_is_told_apart(engine: Engine):
    await engine.venue.faults.add("bad_timestamp", method="POST")
    with pytest.raises(VenueClockError):
        await engine.submit()


@pytest.mark.parametrize("fault", ["extra_fields", "answer_twice"])
async def test_what_does_no_harm_is_no_fault(engine: Engine, fault: str):
    await engine.venue.faults.add(fault, method="POST")
    assert (await engine.submit()).status is VenueStatus.FILLED
    again = await engine.submit(client_order_id=client_order_id("faulty", 1))
    assert again.client_order_id == client_order_id("faulty", 1)
    assert again.status is VenueStatus.FILLED


async def test_an_answer_that_is_on_the_wire_twice_is_never_taken_for_the_next_ones(engine: Engine):
    await engine.venue.faults.add("answer_twice", times=0)
    for number in range(8):
        report = await engine.submit(client_order_id=client_order_id("faulty", number))
        found = await engine.gateway.find(PAIR, client_order_id("faulty", number), since_ms=0)
        assert found.venue_order_id == report.venue_order_id
    assert engine.venue.log.duplicates() == {}


async def test_rules_are_read_again_after_the_venue_refused_an_order_by_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ccxt_link, "DOUBTED_MARKETS_MAX_AGE_S", 0)
    limit = {"child_type": ChildType.LIMIT, "price": Decimal("40000.01")}
    await engine.venue.faults.act("change_rules", symbol=PAIR, tick="0.1")
    assert (await engine.gateway.instrument(PAIR)).tick == Decimal("0.01")
    with pytest.raises(VenueRejectedError) as refused:
        await engine.submit(**limit)
    assert refused.value.family is RejectionFamily.FILTER
    assert (await engine.gateway.instrument(PAIR)).tick == Decimal("0.1")


async def test_rules_are_not_read_again_for_every_refusal(engine: Engine):
    for _ in range(3):
        await engine.venue.faults.add("refuse", method="POST", code=-1013, message="Filter failure")
        with pytest.raises(VenueRejectedError):
            await engine.submit()
        await engine.gateway.instrument(PAIR)
    asked = [r for r in engine.venue.log.requests if r.path.endswith("/exchangeInfo")]
    assert len(asked) == 2  # the test's own client, and our gateway: once each


async def test_a_halt_that_is_over_is_noticed_soon(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(ccxt_link, "DOUBTED_MARKETS_MAX_AGE_S", 0)
    await engine.venue.faults.act("halt_symbol", symbol=PAIR)
    fresh = open_gateway(engine.gateway._link.config)
    try:
        assert not (await fresh.instrument(PAIR)).is_trading
        await engine.venue.faults.act("resume_symbol", symbol=PAIR)
        assert (await fresh.instrument(PAIR)).is_trading
    finally:
        await fresh.close()
