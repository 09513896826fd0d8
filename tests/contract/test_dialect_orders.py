"""What each venue is really sent for a new order, and what its answers come to."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities.venues.ccxt_gateway import CcxtGateway, open_gateway
from activities.venues.dialects import DIALECTS, dialect_of
from activities.venues.gateway import (
    OutcomeUnknownError,
    VenueClockError,
    VenueRejectedError,
)
from tests.contract.dialect_venues import (
    bybit_venue,
    coinbase_venue,
    gate_venue,
    kraken_venue,
    kucoin_venue,
    okx_venue,
)
from tests.contract.dialect_venues.roster import (
    ACKNOWLEDGED_ONLY,
    ID_FIELD,
    TAKES_MARKET_BUYS,
    VENUES,
    WINDOW_MS,
    jwt_claims,
    stamp_of,
)
from tests.contract.dialect_venues.scripted import (
    Answer,
    Order,
    ScriptedVenue,
    Seen,
    intent,
    now_ms,
    served,
)
from tests.contract.gateway_recorder import Recorder, accepted, access
from tests.contract.gateway_recorder import intent as binance_intent
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce, client_order_id
from workflows.domain.reports import RejectionFamily, VenueStatus

AtVenue = tuple[Any, CcxtGateway]

LIMIT = {
    "okx": {
        "instId": "BTC-USDT",
        "side": "buy",
        "ordType": "limit",
        "sz": "0.01",
        "px": "40000",
        "tdMode": "cash",
    },
    "bybit": {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "0.01",
        "price": "40000",
        "timeInForce": "GTC",
    },
    "kraken": {
        "pair": "XBTUSDT",
        "type": "buy",
        "ordertype": "limit",
        "volume": "0.01",
        "price": "40000",
        "timeinforce": "GTC",
    },
    "coinbase": {
        "product_id": "BTC-USDT",
        "side": "BUY",
        "order_configuration": {
            "limit_limit_gtc": {"base_size": "0.01", "limit_price": "40000", "post_only": False}
        },
    },
    "kucoin": {
        "symbol": "BTC-USDT",
        "side": "buy",
        "type": "limit",
        "size": "0.01",
        "price": "40000",
        "timeInForce": "GTC",
    },
    "gate": {
        "currency_pair": "BTC_USDT",
        "side": "buy",
        "type": "limit",
        "amount": "0.01",
        "price": "40000",
        "time_in_force": "gtc",
        "account": "spot",
    },
}
POST_ONLY = {
    "okx": {"ordType": "post_only"},
    "bybit": {"timeInForce": "PostOnly"},
    "kraken": {"oflags": "post"},
    "coinbase": {
        "order_configuration": {
            "limit_limit_gtc": {"base_size": "0.01", "limit_price": "40000", "post_only": True}
        }
    },
    "kucoin": {"postOnly": True},
    "gate": {"time_in_force": "poc"},
}
IMMEDIATE = {
    "okx": {"ordType": "ioc"},
    "bybit": {"timeInForce": "IOC"},
    "kraken": {"timeinforce": "IOC"},
    "coinbase": {
        "order_configuration": {"sor_limit_ioc": {"base_size": "0.01", "limit_price": "40000"}}
    },
    "kucoin": {"timeInForce": "IOC"},
    "gate": {"time_in_force": "ioc"},
}
MARKET_SELL = {
    "okx": {"ordType": "market", "sz": "0.01", "side": "sell"},
    "bybit": {"orderType": "Market", "qty": "0.01", "marketUnit": "baseCoin", "side": "Sell"},
    "kraken": {"ordertype": "market", "volume": "0.01", "type": "sell"},
    "coinbase": {"order_configuration": {"market_market_ioc": {"base_size": "0.01"}}},
    "kucoin": {"type": "market", "size": "0.01", "side": "sell"},
    "gate": {"type": "market", "amount": "0.01", "side": "sell", "time_in_force": "ioc"},
}
MARKET_BUY = {
    "okx": {"ordType": "market", "sz": "0.01", "tgtCcy": "base_ccy"},
    "bybit": {"orderType": "Market", "qty": "0.01", "marketUnit": "baseCoin"},
    "kraken": {"ordertype": "market", "volume": "0.01"},
    "kucoin": {"type": "market", "size": "0.01"},
}


async def submitted(
    venue: ScriptedVenue, gateway: CcxtGateway, child: ChildIntent, at_ms: int | None = None
) -> Seen:
    """The one request that a submission put on the wire."""
    await gateway.submit(child, signed_at_ms=now_ms() if at_ms is None else at_ms)
    (seen,) = venue.requests(*venue.create)
    return seen


async def test_a_limit_order_goes_out_as_the_venue_writes_it(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    child = intent(venue)
    seen = await submitted(venue, gateway, child)
    assert seen.body.items() >= LIMIT[venue.venue].items()
    written = dialect_of(venue.venue).render_id(child.client_order_id)
    assert seen.body[ID_FIELD[venue.venue]] == written


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (POST_ONLY, {"post_only": True}),
        (IMMEDIATE, {"time_in_force": TimeInForce.IOC}),
        (MARKET_SELL, {"child_type": ChildType.MARKET, "side": Side.SELL, "price": None}),
    ],
    ids=["post-only", "immediate", "market sell"],
)
async def test_the_kind_of_an_order_survives_the_way(
    at_venue: AtVenue, expected: dict[str, Any], changes: dict[str, Any]
) -> None:
    venue, gateway = at_venue
    seen = await submitted(venue, gateway, intent(venue, **changes))
    assert seen.body.items() >= expected[venue.venue].items()


async def test_a_market_buy_is_of_a_quantity_or_is_not_sent(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    child = intent(venue, child_type=ChildType.MARKET, price=None)
    if venue.venue in TAKES_MARKET_BUYS:
        seen = await submitted(venue, gateway, child)
        assert seen.body.items() >= MARKET_BUY[venue.venue].items()
        return
    with pytest.raises(VenueRejectedError) as refused:
        await gateway.submit(child, signed_at_ms=now_ms())
    assert refused.value.code == "MARKET_BUY_BY_QUOTE"
    assert venue.requests(*venue.create) == []


async def test_an_acknowledgement_is_an_open_order_of_which_nothing_is_known(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    child = intent(venue)
    report = await gateway.submit(child, signed_at_ms=now_ms())
    assert (report.status, report.executed_quantity) == (VenueStatus.OPEN, Decimal(0))
    assert report.client_order_id == child.client_order_id
    assert report.venue_order_id
    assert bool(dialect_of(venue.venue).ack_fields) is (venue.venue in ACKNOWLEDGED_ONLY)


async def test_a_first_order_asks_only_for_the_symbols_and_takes_no_account_detection(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    await gateway.submit(intent(venue), signed_at_ms=now_ms())
    listings = [path for path in venue.paths() if path != "{} {}".format(*venue.create)]
    expected = {"gate": 2, "coinbase": 3}  # ccxt asks them for more, whatever its options say
    assert len(listings) == expected.get(venue.venue, 1), listings


async def test_fifty_orders_at_once_carry_fifty_pinned_times(at_venue: AtVenue) -> None:
    venue, gateway = at_venue
    base_ms = now_ms()
    pins = {number: base_ms - 997 * number for number in range(1, 51)}
    children = {number: intent(venue, number) for number in pins}
    await asyncio.gather(
        *(gateway.submit(children[n], signed_at_ms=at_ms) for n, at_ms in pins.items())
    )
    by_id = {seen.body[ID_FIELD[venue.venue]]: seen for seen in venue.requests(*venue.create)}
    render = dialect_of(venue.venue).render_id
    for number, at_ms in pins.items():
        stamp = stamp_of(venue.venue, by_id[render(children[number].client_order_id)])
        assert stamp.at_ms == at_ms - at_ms % stamp.step_ms
        assert stamp.life_ms in (None, WINDOW_MS)


async def test_fifty_orders_at_once_carry_fifty_pinned_times_at_binance(
    recorder: Recorder,
) -> None:
    recorder.on("POST", "order", lambda sent: accepted(sent["newClientOrderId"]))
    gateway = open_gateway(replace(access(recorder), http_deadline_s=Decimal(5)))
    pins = {number: now_ms() - 997 * number for number in range(1, 51)}
    ids = {number: client_order_id("pins", number) for number in pins}
    try:
        await asyncio.gather(
            *(
                gateway.submit(binance_intent(client_order_id=ids[number]), signed_at_ms=at_ms)
                for number, at_ms in pins.items()
            )
        )
    finally:
        await gateway.close()
    sent = {
        asked["newClientOrderId"]: asked for _, path, asked in recorder.requests if path == "order"
    }
    assert {n: int(sent[ids[n]]["timestamp"]) for n in pins} == pins
    assert {asked["recvWindow"] for asked in sent.values()} == {str(WINDOW_MS)}


async def test_krakens_nonces_only_grow_whatever_time_is_pinned() -> None:
    venue = VENUES["kraken"]()
    async with served(venue) as gateway:
        await gateway.submit(intent(venue, 1), signed_at_ms=now_ms() + 60_000)
        await gateway.open_orders(venue.symbol)
        await gateway.submit(intent(venue, 2), signed_at_ms=now_ms() - 60_000)
        await gateway.open_orders(venue.symbol)
    nonces = [int(seen.body["nonce"]) for seen in venue.seen if "private" in seen.path]
    assert nonces == sorted(set(nonces))
    assert abs(nonces[0] - now_ms()) < 30_000  # milliseconds of sending, not the pin


async def test_a_token_of_coinbase_says_itself_that_it_ends_after_two_minutes() -> None:
    venue = VENUES["coinbase"]()
    async with served(venue) as gateway:
        seen = await submitted(venue, gateway, intent(venue), 1_700_000_000_999)
    claims = jwt_claims(seen)
    assert (claims["iat"], claims["exp"]) == (1_700_000_000, 1_700_000_120)


DUPLICATES = {
    "okx": okx_venue.refused("51016", "Duplicated client order ID"),
    "bybit": bybit_venue.refused(170141, "Duplicate clientOrderId"),
    "kraken": kraken_venue.refused("EOrder:Duplicate cl_ord_id"),
    "coinbase": coinbase_venue.refused("DUPLICATE_CLIENT_ORDER_ID"),
    "kucoin": kucoin_venue.refused("126044", "clientOid duplicate"),
    "gate": gate_venue.refused("REPEATED_CREATION", "duplicate text"),
}


async def test_an_id_that_exists_is_looked_up_and_never_taken_for_a_rejection(
    at_venue: AtVenue,
) -> None:
    venue, gateway = at_venue
    child = intent(venue)
    venue.scripted[venue.create] = DUPLICATES[venue.venue]
    with pytest.raises(OutcomeUnknownError):
        await gateway.submit(child, signed_at_ms=now_ms())
    written = dialect_of(venue.venue).render_id(child.client_order_id)
    venue.orders.append(Order("312", written))
    found = await gateway.find(venue.symbol, child.client_order_id, since_ms=now_ms() - 60_000)
    assert (found.venue_order_id, found.status) == ("312", VenueStatus.OPEN)


AMBIGUOUS = [
    ("okx", okx_venue.refused("50004", "API endpoint request timeout")),
    ("okx", okx_venue.refused("51054", "Request timed out. Please try again.")),
    ("okx", okx_venue.ok([{"ordId": "", "clOrdId": "x", "sCode": "51000", "sMsg": "?"}])),
    ("okx", okx_venue.ok([])),
    ("bybit", bybit_venue.refused(170146, "Order creation timeout")),
    ("bybit", bybit_venue.refused(170007, "Timeout waiting for response from backend server.")),
    ("bybit", bybit_venue.refused(10016, "System error. Please try again later.")),
    ("bybit", bybit_venue.refused(10000, "Server Timeout")),
    ("bybit", bybit_venue.ok({})),
    ("kraken", kraken_venue.refused("EService:Timeout")),
    ("kraken", kraken_venue.refused("EGeneral:Internal error")),
    ("kraken", kraken_venue.refused("EOrder:Something new")),
    ("kraken", kraken_venue.ok({"descr": {"order": "buy"}})),
    ("coinbase", coinbase_venue.refused("UNKNOWN_FAILURE_REASON")),
    ("coinbase", Answer(500, {"error": "internal_server_error", "message": "?"})),
    ("coinbase", {"success": True}),
    ("kucoin", kucoin_venue.refused("500000", "Internal Server Error")),
    ("kucoin", kucoin_venue.ok({})),
    ("gate", Answer(500, {"label": "SERVER_ERROR", "message": "?"})),
    ("gate", gate_venue.refused("SOMETHING_NEW")),
    ("gate", {"id": "312"}),
    *((name, ConnectionResetError) for name in sorted(VENUES)),
    *((name, {"hello": "world"}) for name in sorted(VENUES)),
]


@pytest.mark.parametrize(("name", "answer"), AMBIGUOUS)
async def test_an_answer_in_doubt_leaves_the_outcome_unknown_and_is_one_request(
    name: str, answer: Any
) -> None:
    venue = VENUES[name]()
    venue.scripted[venue.create] = answer
    async with served(venue) as gateway:
        with pytest.raises(OutcomeUnknownError):
            await gateway.submit(intent(venue), signed_at_ms=now_ms())
    assert len(venue.requests(*venue.create)) == 1


BALANCE, FILTER = RejectionFamily.BALANCE, RejectionFamily.FILTER
PRICE, CLOCK = RejectionFamily.PRICE, RejectionFamily.CLOCK
REFUSED = [
    ("okx", okx_venue.refused("51008", "Insufficient balance"), "51008", BALANCE),
    ("okx", okx_venue.refused("51020", "Order amount too small"), "51020", FILTER),
    ("okx", {"code": "50102", "msg": "Timestamp request expired", "data": []}, "50102", CLOCK),
    ("bybit", bybit_venue.refused(170131, "Balance insufficient"), "170131", BALANCE),
    ("bybit", bybit_venue.refused(170140, "Value too low"), "170140", FILTER),
    ("bybit", bybit_venue.refused(10002, "timestamp or recv_window"), "10002", CLOCK),
    (
        "kraken",
        kraken_venue.refused("EOrder:Insufficient funds"),
        "EOrder:Insufficient funds",
        BALANCE,
    ),
    ("kraken", kraken_venue.refused("EOrder:Post only order"), "EOrder:Post only order", PRICE),
    ("kraken", kraken_venue.refused("EAPI:Invalid nonce"), "EAPI:Invalid nonce", CLOCK),
    (
        "coinbase",
        coinbase_venue.refused("UNKNOWN_FAILURE_REASON", "PREVIEW_INSUFFICIENT_FUND"),
        "PREVIEW_INSUFFICIENT_FUND",
        BALANCE,
    ),
    (
        "coinbase",
        coinbase_venue.refused("INVALID_LIMIT_PRICE_POST_ONLY"),
        "INVALID_LIMIT_PRICE_POST_ONLY",
        PRICE,
    ),
    ("kucoin", kucoin_venue.refused("200004", "Balance insufficient!"), "200004", BALANCE),
    (
        "kucoin",
        kucoin_venue.refused("400100", "Order size below the minimum requirement."),
        "400100",
        FILTER,
    ),
    ("kucoin", kucoin_venue.refused("400002", "KC-API-TIMESTAMP Invalid"), "400002", CLOCK),
    ("gate", gate_venue.refused("BALANCE_NOT_ENOUGH"), "BALANCE_NOT_ENOUGH", BALANCE),
    ("gate", gate_venue.refused("POC_FILL_IMMEDIATELY"), "POC_FILL_IMMEDIATELY", PRICE),
    ("gate", gate_venue.refused("REQUEST_EXPIRED"), "REQUEST_EXPIRED", CLOCK),
]


@pytest.mark.parametrize(("name", "answer", "code", "family"), REFUSED)
async def test_a_documented_refusal_is_a_rejection_with_the_venues_code(
    name: str, answer: Any, code: str, family: RejectionFamily
) -> None:
    venue = VENUES[name]()
    venue.scripted[venue.create] = answer
    async with served(venue) as gateway:
        with pytest.raises(VenueRejectedError) as refused:
            await gateway.submit(intent(venue), signed_at_ms=now_ms())
    assert (refused.value.code, refused.value.family) == (code, family)
    assert isinstance(refused.value, VenueClockError) is (family is CLOCK)


def test_every_venue_but_those_of_binance_is_scripted_here() -> None:
    assert set(DIALECTS) - {"binance", "binanceus"} == set(VENUES)
