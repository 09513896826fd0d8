"""Icebergs, stops, trailing stops and OCO: what really leaves for the venue, and its answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway
from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    VenueRejectedError,
    VenueUnavailableError,
)
from tests.contract.dialect_venues.roster import VENUES as SCRIPTED
from tests.contract.dialect_venues.scripted import served
from tests.contract.gateway_natives import (
    EVERYWHERE,
    ID,
    NATIVE_RULES,
    SIGNED_AT_MS,
    SINGLE,
    D,
    leg,
    listed,
    oco,
    patient,
    refusal,
    sent,
    stop,
    taking_orders,
)
from tests.contract.gateway_recorder import LISTED, SYMBOL, Recorder, intent
from workflows.domain.instruments import Native, TrailingBounds
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce
from workflows.domain.reports import RejectionFamily, VenueStatus

pytestmark = pytest.mark.usefixtures("nothing_is_left_to_the_event_loop")


@pytest.fixture
async def gateway(recorder: Recorder) -> AsyncIterator[CcxtGateway]:
    """A gateway that waits longer than a busy machine takes to answer."""
    async with patient(recorder) as gateway:
        yield gateway


# --- what leaves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (stop(), {"type": "STOP_LOSS", "stopPrice": "39000.5"}),
        (
            stop(child_type=ChildType.TAKE_PROFIT),
            {"type": "TAKE_PROFIT", "stopPrice": "39000.5"},
        ),
        (
            stop(child_type=ChildType.STOP_LOSS_LIMIT, price=D("38990")),
            {
                "type": "STOP_LOSS_LIMIT",
                "stopPrice": "39000.5",
                "price": "38990",
                "timeInForce": "GTC",
            },
        ),
        (
            stop(child_type=ChildType.TAKE_PROFIT_LIMIT, price=D("41000")),
            {
                "type": "TAKE_PROFIT_LIMIT",
                "stopPrice": "39000.5",
                "price": "41000",
                "timeInForce": "GTC",
            },
        ),
        (
            stop(trigger_price=None, trailing_delta_bps=150),
            {"type": "STOP_LOSS", "trailingDelta": "150"},
        ),
        (
            stop(trailing_delta_bps=150),
            {"type": "STOP_LOSS", "trailingDelta": "150", "stopPrice": "39000.5"},
        ),
        (
            intent(side=Side.SELL, display_quantity=D("0.001")),
            {"type": "LIMIT", "price": "40000", "timeInForce": "GTC", "icebergQty": "0.001"},
        ),
        (
            intent(side=Side.SELL, display_quantity=D("0.001"), post_only=True),
            {"type": "LIMIT_MAKER", "price": "40000", "icebergQty": "0.001"},
        ),
    ],
)
async def test_a_native_order_leaves_with_exactly_the_venues_parameters(
    recorder: Recorder, gateway: CcxtGateway, child: ChildIntent, expected: dict[str, str]
) -> None:
    taking_orders(recorder)
    report = await gateway.submit(child, signed_at_ms=SIGNED_AT_MS)
    assert report.status is VenueStatus.OPEN
    asked = sent(recorder, "order")
    assert {name: asked[name] for name in expected} == expected
    assert set(asked) - SINGLE == set(expected) - {"type"}
    assert (asked["side"], asked["quantity"]) == ("SELL", "0.01")
    assert asked["newClientOrderId"] == child.client_order_id
    assert asked["newOrderRespType"] == "FULL"


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (
            oco(),
            {
                "aboveType": "LIMIT_MAKER",
                "abovePrice": "42000",
                "belowType": "STOP_LOSS",
                "belowStopPrice": "39000.5",
            },
        ),
        (
            oco(stop_limit_price=D("38900")),
            {
                "aboveType": "LIMIT_MAKER",
                "abovePrice": "42000",
                "belowType": "STOP_LOSS_LIMIT",
                "belowStopPrice": "39000.5",
                "belowPrice": "38900",
                "belowTimeInForce": "GTC",
            },
        ),
        (
            oco(side=Side.BUY, trigger_price=D("43000")),
            {
                "aboveType": "STOP_LOSS",
                "aboveStopPrice": "43000",
                "belowType": "LIMIT_MAKER",
                "belowPrice": "42000",
            },
        ),
    ],
)
async def test_an_oco_leaves_as_one_list_whose_legs_lie_on_the_right_sides(
    recorder: Recorder, gateway: CcxtGateway, child: ChildIntent, expected: dict[str, str]
) -> None:
    taking_orders(recorder)
    report = await gateway.submit(child, signed_at_ms=SIGNED_AT_MS)
    assert (report.venue_order_id, report.status) == ("list:7", VenueStatus.OPEN)
    asked = sent(recorder, "orderList/oco")
    ids = {
        "listClientOrderId": ID,
        "aboveClientOrderId": ID + "a",
        "belowClientOrderId": ID + "b",
        "newOrderRespType": "FULL",
    }
    everything = {**expected, **ids}
    assert {name: asked.get(name) for name in everything} == everything
    assert set(asked) - EVERYWHERE == set(everything)


@pytest.mark.parametrize(
    "child",
    [
        stop(trigger_price=None),
        stop(price=D("39000")),
        stop(child_type=ChildType.STOP_LOSS_LIMIT),
        stop(display_quantity=D("0.001")),
        stop(time_in_force=TimeInForce.IOC),
        stop(stop_limit_price=D("38900")),
        stop(child_type=ChildType.STOP_LOSS_LIMIT, price=D("38900"), post_only=True),
        intent(trigger_price=D("39000")),
        intent(trailing_delta_bps=100),
        intent(child_type=ChildType.MARKET, price=None, trigger_price=D("39000")),
        intent(child_type=ChildType.MARKET, price=None, display_quantity=D("0.001")),
        intent(display_quantity=D("0.001"), time_in_force=TimeInForce.FOK),
        stop(trigger_price=D("39000.001")),
        intent(display_quantity=D("0.0000011")),
        oco(trigger_price=None),
        stop(child_type=ChildType.OCO),
        oco(stop_limit_price=D("38900.001")),
    ],
    ids=range(17),
)
async def test_an_order_that_would_be_another_than_was_meant_never_leaves(
    recorder: Recorder, gateway: CcxtGateway, child: ChildIntent
) -> None:
    taking_orders(recorder)
    with pytest.raises(VenueRejectedError, match="not sent"):
        await gateway.submit(child, signed_at_ms=SIGNED_AT_MS)
    assert not [asked for asked in recorder.requests if asked[0] == "POST"]


@pytest.mark.parametrize("name", sorted(SCRIPTED))
@pytest.mark.parametrize("child_type", [ChildType.STOP_LOSS, ChildType.OCO, ChildType.LIMIT])
async def test_a_venue_whose_dialect_has_no_native_orders_is_sent_none(
    name: str, child_type: ChildType
) -> None:
    venue = SCRIPTED[name]()
    child = intent(
        venue=name,
        symbol=venue.symbol,
        quantity=D(1),
        child_type=child_type,
        price=None if child_type is ChildType.STOP_LOSS else D(42_000),
        trigger_price=None if child_type is ChildType.LIMIT else D(39_000),
        display_quantity=D("0.5") if child_type is ChildType.LIMIT else None,
    )
    async with served(venue) as gateway:
        assert (await gateway.instrument(venue.symbol)).natives == ()
        with pytest.raises(VenueRejectedError, match="not sent") as refused:
            await gateway.submit(child, signed_at_ms=SIGNED_AT_MS)
        assert (refused.value.code, refused.value.family) == (
            "NOT_NATIVE",
            RejectionFamily.PERMISSION,
        )
        with pytest.raises(OrderAbsentError):
            await gateway.find(venue.symbol, child.client_order_id, since_ms=0, is_list=True)


# --- what is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("order", "Order would trigger immediately."),
        ("orderList/oco", "Order would trigger immediately."),
        ("orderList/oco", "The relationship of the prices for the orders is not correct."),
    ],
)
async def test_a_trigger_that_the_price_has_passed_is_a_definite_rejection_for_its_price(
    recorder: Recorder, gateway: CcxtGateway, path: str, words: str
) -> None:
    recorder.handlers["POST", path] = refusal(-2010, words)
    with pytest.raises(VenueRejectedError) as refused:
        await gateway.submit(stop() if path == "order" else oco(), signed_at_ms=SIGNED_AT_MS)
    assert (refused.value.code, refused.value.family) == ("-2010", RejectionFamily.PRICE)


@pytest.mark.parametrize(
    "changes",
    [
        {"listClientOrderId": "f" * 32},
        {"orderReports": []},
        {"orderReports": [{"symbol": "BTCUSDT"}]},
        {"orderListId": None, "orderReports": None},
    ],
)
async def test_an_unreadable_list_leaves_the_outcome_unknown(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any]
) -> None:
    answer = {**listed(orderReports=[leg("b"), leg("a")]), **changes}
    recorder.on("POST", "orderList/oco", lambda _: answer)
    with pytest.raises(OutcomeUnknownError):
        await gateway.submit(oco(), signed_at_ms=SIGNED_AT_MS)
    assert recorder.count("POST", "orderList/oco") == 1


# --- the rules ------------------------------------------------------------------------------------


async def test_an_instrument_tells_what_its_venue_works_by_itself(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    recorder.on("GET", "exchangeInfo", lambda _: {"symbols": [{**LISTED, **NATIVE_RULES}]})
    rules = await gateway.instrument(SYMBOL)
    assert set(rules.natives) == set(Native)
    assert rules.iceberg_parts == 10
    assert rules.trailing_above == TrailingBounds(least=10, most=2000)
    assert rules.trailing_below == TrailingBounds(least=20, most=1000)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"icebergAllowed": False}, {Native.ICEBERG}),
        ({"ocoAllowed": False}, {Native.OCO}),
        ({"allowTrailingStop": False}, {Native.TRAILING}),
        ({"filters": LISTED["filters"]}, {Native.ICEBERG, Native.TRAILING}),
        ({"orderTypes": LISTED["orderTypes"]}, {Native.STOP, Native.TRAILING, Native.OCO}),
        (
            {"orderTypes": [*LISTED["orderTypes"], "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]},
            {Native.STOP, Native.TRAILING, Native.OCO},
        ),
    ],
)
async def test_what_a_venue_does_not_allow_in_a_symbol_is_left_to_the_engine(
    recorder: Recorder, gateway: CcxtGateway, changes: dict[str, Any], missing: set[Native]
) -> None:
    entry = {**LISTED, **NATIVE_RULES, **changes}
    recorder.on("GET", "exchangeInfo", lambda _: {"symbols": [entry]})
    rules = await gateway.instrument(SYMBOL)
    assert set(rules.natives) == set(Native) - missing
    assert (rules.iceberg_parts is None) == (Native.ICEBERG in missing)
    assert (rules.trailing_above is None) == (Native.TRAILING in missing)


async def test_unreadable_native_rules_are_no_instrument(
    recorder: Recorder, gateway: CcxtGateway
) -> None:
    broken = [*LISTED["filters"], {"filterType": "ICEBERG_PARTS", "limit": "many"}]
    entry = {**LISTED, **NATIVE_RULES, "filters": broken}
    recorder.on("GET", "exchangeInfo", lambda _: {"symbols": [entry]})
    with pytest.raises(VenueUnavailableError):
        await gateway.instrument(SYMBOL)
