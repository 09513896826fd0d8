"""Each kind of order on the whole engine: what the caller is told is what the exchange did."""

from decimal import Decimal

import pytest

from tests.e2e.proof import assert_ledger_is_exchange, assert_order_is_true
from tests.e2e.world import BEST_ASK, INSIDE, MOVING, World, until
from workflows.domain.lifecycle import OrderStatus

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

FAR_BELOW = Decimal(49_900)


async def test_a_market_order_is_filled_at_once(world: World):
    placed = await world.place(quantity="0.3")
    assert placed.status in (OrderStatus.ACCEPTED, OrderStatus.WORKING, OrderStatus.FILLED)
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.3"))
    assert done.average_price is not None
    assert done.average_price >= BEST_ASK
    await assert_order_is_true(world, done)


async def test_a_bounded_market_order_takes_no_worse_price_and_expires_with_the_rest(world: World):
    placed = await world.place(side="sell", quantity="1.5", slippage_tolerance="0.00001")
    done = await world.finish(placed)
    assert done.status is OrderStatus.EXPIRED
    assert 0 < done.filled_quantity < Decimal("1.5")
    assert done.remaining_quantity == Decimal("1.5") - done.filled_quantity
    assert done.reason.startswith("liquidity")
    await assert_order_is_true(world, done)


async def test_a_limit_order_rests_is_filled_in_parts_and_completes(world: World):
    placed = await world.rest(quantity="0.5")
    await world.sell("0.2")
    await until(lambda: _has_filled(world, placed.order_id, "0.2"))
    await world.sell("0.3")
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.5"))
    await assert_order_is_true(world, done)


async def test_a_cancelled_limit_order_keeps_what_was_filled_before(world: World):
    placed = await world.rest(quantity="0.5")
    await world.sell("0.2")
    await until(lambda: _has_filled(world, placed.order_id, "0.2"))
    done = await world.orders.cancel(placed.order_id, "enough")
    assert (done.status, done.reason) == (OrderStatus.CANCELLED, "enough")
    assert done.filled_quantity == Decimal("0.2")
    await assert_order_is_true(world, done)


async def test_a_limit_order_with_a_timeout_expires_unfilled(world: World):
    placed = await world.rest(price=FAR_BELOW, timeout_s="1")
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.EXPIRED, Decimal(0))
    assert not any(order.is_open for order in world.at_exchange(done))
    await assert_order_is_true(world, done)


async def test_a_limit_order_in_a_moving_market_is_filled_by_its_flow(world: World):
    bid = Decimal(str((await world.other.fetch_order_book(MOVING, 5))["bids"][0][0]))
    placed = await world.place(
        order_type="limit", symbol=MOVING, quantity="0.1", price=bid + Decimal("0.50")
    )
    done = await world.finish(placed, within_s=60)
    assert done.status is OrderStatus.FILLED
    await assert_order_is_true(world, done)


async def test_two_orders_of_one_account_never_trade_with_each_other(world: World):
    resting = await world.rest(quantity="0.2")
    taking = await world.place(
        side="sell", order_type="limit", price=INSIDE, time_in_force="IOC", quantity="0.2"
    )
    done = await world.finish(taking)
    assert done.filled_quantity == 0
    # refused by our own check, or ended by the exchange where that saw it first
    assert done.status in (OrderStatus.DENIED, OrderStatus.EXPIRED)
    [still] = world.at_exchange(resting)
    assert still.is_open
    await world.orders.cancel(resting.order_id)
    for order in (done, await world.finish(resting)):
        await assert_order_is_true(world, order)


async def test_a_post_only_order_that_rests_is_filled_as_maker(world: World):
    placed = await world.rest(quantity="0.1", post_only=True)
    await world.sell("0.1")
    done = await world.finish(placed)
    assert done.status is OrderStatus.FILLED
    assert all(fill.is_maker for fill in await world.views.fills(done.order_id))
    await assert_order_is_true(world, done)


async def test_a_post_only_order_that_would_take_is_rejected(world: World):
    placed = await world.place(order_type="limit", price=BEST_ASK + 5, post_only=True)
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.REJECTED, Decimal(0))
    await assert_order_is_true(world, done)


async def test_an_ioc_order_takes_what_is_there_and_expires_with_the_rest(world: World):
    placed = await world.place(
        order_type="limit", price=BEST_ASK + 2, quantity="1.9", time_in_force="IOC"
    )
    done = await world.finish(placed)
    assert done.status is OrderStatus.EXPIRED
    assert 0 < done.filled_quantity < Decimal("1.9")
    await assert_order_is_true(world, done)


async def test_a_fok_order_is_filled_completely(world: World):
    placed = await world.place(
        order_type="limit", price=BEST_ASK + 30, quantity="0.5", time_in_force="FOK"
    )
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.5"))
    await assert_order_is_true(world, done)


async def test_a_fok_order_that_cannot_be_filled_completely_trades_nothing(world: World):
    placed = await world.place(
        order_type="limit", price=BEST_ASK + 1, quantity="1.9", time_in_force="FOK"
    )
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.EXPIRED, Decimal(0))
    await assert_order_is_true(world, done)


async def test_a_twap_is_filled_slice_by_slice(world: World):
    placed = await world.place(
        order_type="twap", quantity="0.1", twap_slices=5, twap_interval="0.4"
    )
    done = await world.finish(placed)
    assert (done.status, done.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))
    assert [child.quantity for child in done.children] == [Decimal("0.02")] * 5
    assert done.twap is not None
    assert (done.twap.slices_sent, done.twap.slices_late) == (5, 0)
    await assert_order_is_true(world, done)


async def test_a_cancelled_twap_stops_and_keeps_what_was_filled(world: World):
    placed = await world.place(order_type="twap", quantity="0.1", twap_slices=10, twap_interval="1")
    await until(lambda: _has_filled(world, placed.order_id, "0.01"))
    done = await world.orders.cancel(placed.order_id)
    assert done.status is OrderStatus.CANCELLED
    assert Decimal("0.01") <= done.filled_quantity < Decimal("0.1")
    await assert_order_is_true(world, done)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL"),
        ({"quantity": "0.000001"}, "PRECISION"),
        ({"order_type": "limit", "price": "50000.001"}, "PRECISION"),
        ({"quantity": "0.00001"}, "MIN_NOTIONAL"),
        ({"quantity": "3"}, "RISK_MAX_NOTIONAL"),
    ],
)
async def test_an_order_that_must_not_trade_is_denied_and_reaches_no_exchange(
    world: World, wrong, code
):
    orders_before = len(world.log().orders)
    denied = await world.place(**wrong)
    assert (denied.status, denied.code) == (OrderStatus.DENIED, code)
    assert len(world.log().orders) == orders_before
    await assert_ledger_is_exchange(world)


async def test_the_same_id_gives_the_same_answer_and_another_body_is_a_conflict(world: World):
    request = world.request()
    first = await world.orders.submit(request)
    done = await world.finish(first)
    assert await world.orders.submit(request) == first
    other = await world.orders.submit(request.model_copy(update={"quantity": Decimal("0.02")}))
    assert (other.status, other.code) == (OrderStatus.DENIED, "IDEMPOTENCY_CONFLICT")
    await assert_order_is_true(world, done)


async def _has_filled(world: World, order_id: str, quantity: str) -> bool:
    return (await world.orders.progress(order_id)).filled_quantity >= Decimal(quantity)
