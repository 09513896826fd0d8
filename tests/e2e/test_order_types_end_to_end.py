"""Icebergs, TWAPs, steered orders and previews on the whole engine, by client and over HTTP.

What cannot disturb each other runs side by side on one market. The tips of the icebergs of 10 by 3
are those of the published examples, in other units.
"""

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.order_types_world import (
    DrivenMarket,
    Placed,
    assert_orders_are_true,
    assert_told_alike,
    driven,
    http,
    orders_of,
    submit_all,
)
from tests.e2e.world import BEST_ASK, BEST_BID, MOVING, World, until
from workers.local_key import NAME as LOCAL_KEY
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.messages import OrderSnapshot
from workflows.steering_messages import ActionKind, AmendRequest, SteerRequest

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

TICK = Decimal("0.01")
APART = BEST_BID - 200
"""Where nobody trades unless the test says so."""
PRINT_EVERY_S = 0.2
PRINTED = Decimal("0.03")
RATE = Decimal("0.2")
LOOKS_BACK_MS = 3_000
"""One spacing, and what the candles of a second smear."""


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _honest_exchange(world: World):
    yield
    await world.faults.clear()


# --- orders that are worked in parts --------------------------------------------------------------


async def test_icebergs_and_steered_orders_end_as_they_were_asked(world: World):
    done = await asyncio.gather(
        _native_iceberg(world),
        _iceberg_10_by_3(world),
        _iceberg_of_varied_tips(world),
        _passive_twap(world),
        _steered_limit(world),
        _paused_stop(world),
    )
    await assert_orders_are_true(world, done)


async def _native_iceberg(world: World) -> OrderSnapshot:
    """10 by 3 is 4 parts, which the venue takes as one order."""
    order = Placed(world, **_iceberg("native", price=APART))
    await order.post()
    judged = await order.rests()
    assert (judged.quantity, judged.iceberg_quantity) == (Decimal("0.010"), Decimal("0.003"))
    await order.fill(quantity="0.004")

    async def is_counted() -> bool:
        told = await order.now()
        assert told.iceberg is not None
        return told.filled_quantity == Decimal("0.004") and told.iceberg.percent == 40

    await until(is_counted)
    await order.fill()
    done = await order.ends()
    assert done.children_total == 1
    return done


async def _iceberg_10_by_3(world: World) -> OrderSnapshot:
    order = Placed(world, **_iceberg("engine", price=APART))
    await order.submit()
    for index, tip in enumerate(("0.003", "0.003", "0.003", "0.001")):
        assert (await order.rests(index)).quantity == Decimal(tip)
        await order.fill(index)
    return await order.ends()


async def _iceberg_of_varied_tips(world: World) -> OrderSnapshot:
    """Each tip is within 20 % of what is shown, but for the tail."""
    display, quantity = Decimal("0.002"), Decimal("0.010")
    order = Placed(
        world,
        **_iceberg("engine", price=APART, iceberg_display=display, iceberg_variance="0.2"),
    )
    await order.submit()
    tips: list[Decimal] = []
    while sum(tips) < quantity:
        tips.append((await order.rests(len(tips))).quantity)
        await order.fill(len(tips) - 1)
    assert sum(tips) == quantity
    assert all(abs(tip - display) <= display / 5 for tip in tips[:-1])
    assert len(set(tips)) > 1
    return await order.ends()


def _iceberg(placement: str, **fields: Any) -> dict[str, Any]:
    """A buy of 10 by 3, in thousandths of a bitcoin."""
    defaults = {"order_type": "iceberg", "quantity": "0.010", "iceberg_display": "0.003"}
    return defaults | {"placement": placement} | fields


async def _passive_twap(world: World) -> OrderSnapshot:
    """The first slice is filled while it rests, the second one has to cross."""
    order = Placed(
        world,
        order_type="twap",
        quantity="0.02",
        twap_slices=2,
        twap_interval="4",
        passive_fraction="0.8",
    )
    await order.submit()
    assert (await order.rests(0)).price == BEST_BID
    await order.fill(0)
    done = await order.ends()
    assert [(child.status, child.filled_quantity) for child in done.children] == [
        (ChildStatus.FILLED, Decimal("0.01")),
        (ChildStatus.CANCELLED, Decimal(0)),
        (ChildStatus.FILLED, Decimal("0.01")),
    ]
    fills = await world.views.fills(order.order_id)
    assert [(fill.is_maker, fill.price) for fill in fills] == [(True, BEST_BID), (False, BEST_ASK)]
    return done


async def _steered_limit(world: World) -> OrderSnapshot:
    """Paused, changed and resumed over HTTP; changed again by the client."""
    order = Placed(world, order_type="limit", quantity="0.02", price=APART)
    await order.post()
    await order.rests(0)
    why = {"reason": "lunch"}
    async with _steering(world, order) as ask:
        paused = await ask("POST", "/pause", why)
        assert (paused.status, paused.reason) == (OrderStatus.PAUSED, "lunch")
        assert not any(each.is_open for each in orders_of(world.log(), order.child(0)))
        await assert_told_alike(world, paused)
        await ask("PATCH", "", {"price": str(APART + 50), "quantity": "0.03"} | why)
        resumed = await ask("POST", "/resume", why)
        assert resumed.status is OrderStatus.WORKING
    judged = await order.rests(1)
    assert (judged.price, judged.quantity) == (APART + 50, Decimal("0.03"))
    await order.fill(1, quantity="0.01")
    await until(lambda: _has_filled(order, "0.01"))
    await world.orders.amend(order.order_id, AmendRequest(quantity=Decimal("0.02")))
    assert (await order.rests(2)).quantity == Decimal("0.01")
    await order.fill(2)
    done = await order.ends(OrderStatus.FILLED)
    stored = await world.views.order(order.order_id)
    assert stored is not None
    for told in (done, stored):
        kinds = [action.kind for action in told.actions]
        assert kinds == [ActionKind.PAUSE, ActionKind.AMEND, ActionKind.RESUME, ActionKind.AMEND]
        assert [action.requested_by for action in told.actions[:3]] == [LOCAL_KEY] * 3
    return done


async def _paused_stop(world: World) -> OrderSnapshot:
    """While it is paused, and after it was cancelled, nothing protects, and everybody says so."""
    order = Placed(
        world,
        order_type="stop_loss",
        side="sell",
        stop_price=BEST_BID - 1_000,
        placement="engine",
    )
    await order.submit()
    await order.is_guarding()
    await assert_told_alike(world, await order.now())
    paused = await world.orders.pause(order.order_id, SteerRequest(reason="by hand"))
    assert paused.stop is not None
    assert (paused.status, paused.stop.is_protected) == (OrderStatus.PAUSED, False)
    assert await world.views.armed_watch(order.order_id) is None
    await assert_told_alike(world, paused)
    await world.orders.resume(order.order_id)
    await order.is_guarding()
    assert await world.views.armed_watch(order.order_id) is not None
    done = await world.orders.cancel(order.order_id, "enough")
    assert done.stop is not None
    assert (done.status, done.stop.is_protected) == (OrderStatus.CANCELLED, False)
    assert done.reason == "enough: 0.01 unprotected"
    assert await world.views.armed_watch(order.order_id) is None
    await assert_told_alike(world, done)
    return done


async def _has_filled(order: Placed, quantity: str) -> bool:
    return (await order.now()).filled_quantity >= Decimal(quantity)


async def _has_acted(order: Placed, before: int) -> bool:
    return len((await order.now()).actions) > before


@asynccontextmanager
async def _steering(world: World, order: Placed):
    """Asks the API to steer one order; the order as answered."""
    async with http(world) as api:

        async def ask(method: str, path: str, body: dict[str, Any]) -> OrderSnapshot:
            before = len((await order.now()).actions)
            answer = await api.request(method, f"/api/v1/orders/{order.order_id}{path}", json=body)
            if answer.status_code == httpx.codes.ACCEPTED:  # it takes longer than the answer waits
                await until(lambda: _has_acted(order, before), 30)
                return await order.now()
            assert answer.status_code == httpx.codes.OK, answer.text
            return OrderSnapshot.model_validate(
                {name: value for name, value in answer.json().items() if name != "links"}
            )

        yield ask


# --- orders that look at the market ---------------------------------------------------------------


async def test_an_order_follows_the_touch_and_another_the_volume_of_the_market(world: World):
    async with driven(world, MOVING, "2500") as market:
        pegged, share = _pegged(world), _share(world)
        await submit_all((pegged, share))
        printing = asyncio.create_task(_print(market))
        try:
            await _follows_the_touch(pegged, market)
            done = [await pegged.ends(), await share.ends(OrderStatus.EXPIRED)]
        finally:
            printing.cancel()
        await assert_orders_are_true(world, done)
        twap = done[1].twap
        assert twap is not None
        assert twap.participation_limited > 0
        assert done[1].reason.startswith("residual")
        others = await _volume_of_others(market, done[1])
        assert 0 < done[1].filled_quantity <= others * RATE / (1 - RATE)


def _pegged(world: World) -> Placed:
    return Placed(
        world,
        order_type="iceberg",
        symbol=MOVING,
        quantity="0.1",
        iceberg_display="0.06",
        price="2505",
        peg_offset="1",
        reprice_interval_s="0.1",
    )


def _share(world: World) -> Placed:
    return Placed(
        world,
        order_type="twap",
        symbol=MOVING,
        quantity="4",
        twap_slices=4,
        twap_interval="1.5",
        max_participation=RATE,
    )


async def _follows_the_touch(order: Placed, market: DrivenMarket) -> None:
    """One quote unit below the best bid, up to the limit price, where it waits."""
    assert (await order.rests(0)).price == Decimal("2500") - TICK - 1
    await market.to("2503")
    assert (await order.rests(1)).price == Decimal("2503") - TICK - 1
    await market.to("2510")

    async def waits() -> bool:
        told = await order.now()
        return told.status is OrderStatus.WAITING_PRICE

    await until(waits)
    assert not orders_of(order.world.log(), order.child(2))
    await market.to("2504")
    judged = await order.rests(2)
    assert (judged.price, judged.quantity) == (Decimal("2504") - TICK - 1, Decimal("0.06"))
    await order.fill(2)
    assert (await order.rests(3)).quantity == Decimal("0.04")
    await order.fill(3)


async def _print(market: DrivenMarket) -> None:
    """Other traders trade all the time."""
    while True:
        await market.again(PRINTED)
        await asyncio.sleep(PRINT_EVERY_S)


async def _volume_of_others(market: DrivenMarket, order: OrderSnapshot) -> Decimal:
    """What the market traded without us since the first slice could look back."""
    assert order.created_at is not None
    since_ms = datetime.fromisoformat(order.created_at).timestamp() * 1_000 - LOOKS_BACK_MS
    trades = await market.world.other.fetch_trades(market.symbol)
    amounts = [Decimal(str(each["amount"])) for each in trades if each["timestamp"] >= since_ms]
    return sum(amounts, Decimal(0)) - order.filled_quantity


# --- previews -------------------------------------------------------------------------------------

PREVIEWED: dict[str, dict[str, Any]] = {
    "market": {},
    "limit": {"price": "49900"},
    "twap": {"twap_slices": 4, "twap_interval": "1"},
    "iceberg": {"price": "49900", "iceberg_display": "0.003", "placement": "engine"},
    "stop_loss": {"side": "sell", "stop_price": "49000"},
    "take_profit": {"side": "sell", "take_profit_price": "51000"},
    "trailing_stop": {"side": "sell", "trailing_delta_bps": 100},
    "oco": {"side": "sell", "oco_limit_price": "51000", "stop_price": "49000"},
}


async def test_a_preview_of_every_type_says_what_would_be_sent_and_sends_nothing(world: World):
    orders = [Placed(world, order_type=kind, **terms) for kind, terms in PREVIEWED.items()]
    async with http(world) as api:
        for order in orders:
            told = await _preview(api, order)
            assert told["accepted"], told
            planned = sum(Decimal(child["quantity"]) for child in told["schedule"])
            assert planned == order.request.quantity
            assert Decimal(told["notional"]) > 0
        denied = await _preview(api, Placed(world, quantity="3"))
        assert (denied["accepted"], denied["code"]) == (False, "RISK_MAX_NOTIONAL")
    log = world.log()
    for order in orders:
        assert await world.views.order(order.order_id) is None
        assert not orders_of(log, order.child())


async def _preview(api: httpx.AsyncClient, order: Placed) -> dict[str, Any]:
    body = order.request.model_dump(mode="json", exclude_none=True)
    answer = await api.post("/api/v1/orders/preview", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told
