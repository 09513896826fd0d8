"""The books of a running engine: a position is marked while it is held, and is what was traded."""

from decimal import Decimal

import pytest

from activities.ledger.view_positions import PositionViews
from tests.e2e.proof import assert_ledger_is_exchange
from tests.e2e.world import BEST_ASK, BEST_BID, MAIN, STILL, VENUE, World, until
from workflows.domain.exact import exact

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_position_is_marked_and_its_total_is_cash_and_holdings(world: World):
    views = PositionViews(world.database)
    strategy = (await world.finish(await world.place(quantity="0.05"))).strategy_id
    sold = await world.place(strategy_id=strategy, side="sell", quantity="0.02")
    await world.finish(sold)

    async def is_marked() -> bool:
        (view,) = await views.positions(strategy_id=strategy)
        return view.mark is not None

    await until(is_marked, within_s=20)
    (view,) = await views.positions(strategy_id=strategy)
    assert (view.exchange, view.account, view.symbol) == (VENUE, MAIN, STILL)
    # the exchange takes the fee of a buy from what was bought
    assert Decimal("0.029") < view.quantity < Decimal("0.03")
    assert view.mark is not None
    assert BEST_BID <= view.mark <= BEST_ASK
    with exact():
        assert view.total == view.cash - view.fees_other + view.quantity * view.mark
    fills, _ = await views.fills(strategy_id=strategy)
    assert {each.order_id for each in fills} >= {sold.order_id}
    lots = await views.fifo(strategy, VENUE, STILL)
    assert lots is not None
    assert lots.quantity == view.quantity
    await assert_ledger_is_exchange(world)
