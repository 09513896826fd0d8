"""Our orders do not trade with each other: what each venue is asked for, and what comes of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from tests.contract.dialect_venues.scripted import ScriptedVenue, intent, now_ms
from tests.contract.gateway_natives import (
    NATIVE_RULES,
    SIGNED_AT_MS,
    oco,
    patient,
    sent,
    stop,
    taking_orders,
)
from tests.contract.gateway_recorder import LISTED, Recorder
from tests.contract.gateway_recorder import intent as plain
from tests.contract.gateway_venue import SYMBOL, VENUES, Venue, venue_at
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import VenueStatus

NEWEST: dict[str, dict[str, str]] = {
    "okx": {"stpMode": "cancel_taker"},
    "kraken": {"stptype": "cancel-newest"},
    "kucoin": {"stp": "CN"},
}
RESTING: dict[str, dict[str, str]] = {
    "okx": {"stpMode": "cancel_maker"},
    "kraken": {"stptype": "cancel-oldest"},
    "kucoin": {"stp": "CO"},
}
SAYS = {"stpMode", "stptype", "stp", "smpType", "stp_act", "self_trade_prevention_id"}
MODE = "selfTradePreventionMode"
ALLOWED = {"allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]}

AtVenue = tuple[ScriptedVenue, CcxtGateway]


@pytest.fixture
async def gateway(recorder: Recorder) -> AsyncIterator[CcxtGateway]:
    async with patient(recorder) as gateway:
        yield gateway


@pytest.mark.parametrize("only_reduces", [False, True])
async def test_an_order_says_which_of_two_own_orders_ends_where_the_venue_is_told(
    at_venue: AtVenue, only_reduces: bool
) -> None:
    venue, gateway = at_venue
    child = intent(venue, reduce_only=only_reduces)
    await gateway.submit(child, signed_at_ms=now_ms())
    (seen,) = venue.requests(*venue.create)
    wanted = (RESTING if only_reduces else NEWEST).get(venue.venue, {})
    assert {name: value for name, value in seen.body.items() if name in SAYS} == wanted


@pytest.mark.parametrize(
    ("child", "path", "mode"),
    [
        (plain(), "order", "EXPIRE_TAKER"),
        (plain(side=Side.SELL, reduce_only=True), "order", "EXPIRE_MAKER"),
        (stop(), "order", "EXPIRE_TAKER"),
        (stop(reduce_only=True), "order", "EXPIRE_MAKER"),
        (oco(reduce_only=True), "orderList/oco", "EXPIRE_MAKER"),
    ],
)
async def test_binance_is_told_with_every_kind_of_order(
    recorder: Recorder, gateway: CcxtGateway, child: ChildIntent, path: str, mode: str
) -> None:
    taking_orders(recorder)
    recorder.on("GET", "exchangeInfo", lambda _: {"symbols": [LISTED | NATIVE_RULES | ALLOWED]})
    await gateway.submit(child, signed_at_ms=SIGNED_AT_MS)
    assert sent(recorder, path)[MODE] == mode


async def test_binance_is_not_told_in_a_symbol_that_does_not_allow_it(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    taking_orders(recorder)
    listed: dict[str, Any] = LISTED | {"allowedSelfTradePreventionModes": ["NONE"]}
    recorder.on("GET", "exchangeInfo", lambda _: {"symbols": [listed]})
    await gateway.submit(plain(), signed_at_ms=SIGNED_AT_MS)
    assert MODE not in sent(recorder, "order")


@pytest.fixture(params=VENUES)
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(request.param, tmp_path) as venue:
        yield venue


@pytest.mark.parametrize("only_reduces", [False, True])
async def test_of_two_own_orders_that_would_trade_one_ends_unfilled(
    venue: Venue, only_reduces: bool
) -> None:
    touch = await venue.gateway.quote(SYMBOL)
    rules = await venue.gateway.instrument(SYMBOL)
    resting = venue.intent(price=touch.bid + rules.tick)
    coming = venue.intent(side=Side.SELL, price=resting.price, reduce_only=only_reduces)
    await venue.submit(resting)
    await venue.submit(coming)
    ends = [
        (await venue.gateway.find(SYMBOL, each.client_order_id, since_ms=0))
        for each in (resting, coming)
    ]
    assert [each.executed_quantity for each in ends] == [0, 0]
    is_okx = venue.gateway.venue == "okx"
    ended = VenueStatus.CANCELLED if is_okx else VenueStatus.EXPIRED
    still = VenueStatus.OPEN
    assert [each.status for each in ends] == ([ended, still] if only_reduces else [still, ended])
    assert venue.records("trade") == []
