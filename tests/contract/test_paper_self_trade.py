"""Self-trade prevention on the wire: what is asked for, and what REST and the stream tell of it."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt

from tests.contract.paper_venue import PAIR, Venue, open_venue, refusal

WAIT_S = 5.0


async def limit(venue: Venue, side: str, name: str, price: str, **params: Any) -> Any:
    params = {"clientOrderId": name, **params}
    return await venue.client.create_order(PAIR, "limit", side, "0.01", price, params)


async def inside_the_spread(venue: Venue) -> str:
    """A price at which nobody else trades."""
    price = "50000.5"
    bid, ask = await venue.best("bids"), await venue.best("asks")
    assert bid < Decimal(price) < ask
    return price


async def watching_orders(venue: Venue) -> "asyncio.Task[Any]":
    """A watch that is subscribed and waits for its first push."""
    watching = asyncio.create_task(venue.client.watch_orders(PAIR))
    async with asyncio.timeout(WAIT_S):
        while not any(
            "orders" in name for each in venue.client.clients.values() for name in each.futures
        ):
            await asyncio.sleep(0.005)
    return watching


async def pushed(watching: "asyncio.Task[Any]", venue: Venue, name: str) -> Any:
    """The first push about this order that is not its acceptance."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for order in await watching:
                if order["clientOrderId"] == name and order["status"] != "open":
                    return order
            watching = asyncio.create_task(venue.client.watch_orders(PAIR))


async def test_binance_ends_the_resting_order_and_says_so_everywhere(tmp_path: Path) -> None:
    async with open_venue("binance", tmp_path) as venue:
        price = await inside_the_spread(venue)
        watching = await watching_orders(venue)
        own = await limit(venue, "buy", "resting", price)
        mode = {"selfTradePreventionMode": "EXPIRE_MAKER"}
        answer = (await limit(venue, "sell", "coming", price, **mode))["info"]
        assert (answer["status"], answer["selfTradePreventionMode"]) == ("NEW", "EXPIRE_MAKER")
        assert answer["preventedMatches"] == [
            {
                "preventedMatchId": 0,
                "makerOrderId": int(own["id"]),
                "price": f"{Decimal(price):.8f}",
                "makerPreventedQuantity": "0.01000000",
            }
        ]
        ended = await venue.client.fetch_order(own["id"], PAIR)
        assert (ended["status"], ended["info"]["status"]) == ("expired", "EXPIRED_IN_MATCH")
        assert ended["info"]["preventedQuantity"] == "0.01000000"
        push = (await pushed(watching, venue, "resting"))["info"]
        assert {name: push[name] for name in ("x", "X", "A", "B", "U", "V", "w")} == {
            "x": "TRADE_PREVENTION",
            "X": "EXPIRED_IN_MATCH",
            "A": "0.01000000",
            "B": "0.01000000",
            "U": int(answer["orderId"]),
            "V": "NONE",
            "w": False,
        }


async def test_binance_ends_the_order_that_comes(tmp_path: Path) -> None:
    async with open_venue("binance", tmp_path) as venue:
        price = await inside_the_spread(venue)
        own = await limit(venue, "buy", "resting", price)
        mode = {"selfTradePreventionMode": "EXPIRE_TAKER"}
        coming = await limit(venue, "sell", "coming", price, **mode)
        assert (coming["status"], coming["info"]["preventedQuantity"]) == ("expired", "0.01000000")
        assert (await venue.client.fetch_order(own["id"], PAIR))["status"] == "open"


async def test_binance_refuses_a_mode_that_the_symbol_does_not_allow(tmp_path: Path) -> None:
    async with open_venue("binance", tmp_path) as venue:
        told = await refusal(
            limit(venue, "sell", "coming", "60000", selfTradePreventionMode="DECREMENT")
        )
        assert "does not allow the specified self-trade prevention mode" in str(told)
        shown = venue.client.market(PAIR)["info"]["allowedSelfTradePreventionModes"]
        assert shown == ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]


async def test_okx_cancels_the_one_that_is_asked_for_and_names_the_cause(tmp_path: Path) -> None:
    async with open_venue("okx", tmp_path) as venue:
        venue.client.options["createOrder"] = "privatePostTradeOrder"
        price = await inside_the_spread(venue)
        own = await limit(venue, "buy", "resting", price)
        coming = await limit(venue, "sell", "coming", price, stpMode="cancel_taker")
        ended = await venue.client.fetch_order(coming["id"], PAIR)
        cause = {"state": "canceled", "cancelSource": "32", "stpMode": "cancel_taker"}
        assert {name: ended["info"][name] for name in cause} == cause
        assert (await venue.client.fetch_order(own["id"], PAIR))["status"] == "open"
        await limit(venue, "sell", "again", price, stpMode="cancel_maker")
        ended = await venue.client.fetch_order(own["id"], PAIR)
        assert (ended["status"], ended["info"]["cancelSource"]) == ("canceled", "32")


async def test_okx_knows_no_fill_or_kill_order_that_cancels_both(tmp_path: Path) -> None:
    async with open_venue("okx", tmp_path) as venue:
        venue.client.options["createOrder"] = "privatePostTradeOrder"
        told = await refusal(
            limit(venue, "sell", "coming", "60000", stpMode="cancel_both", timeInForce="FOK")
        )
        assert isinstance(told, ccxt.BadRequest)
        assert "stpMode" in str(told)
