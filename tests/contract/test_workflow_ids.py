"""Temporal takes any text for a workflow id; an order or a plan takes what its own id may be."""

import json

import pytest

from tests.contract.temporal_cli import TemporalCli, order
from tests.e2e.world import World

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = {
    "arb-1:buy": "ILLEGAL_CHARS",  # would be a leg of arb-1
    "my-order/1": "ILLEGAL_CHARS",  # would be a trigger of my-order
    "two words": "ILLEGAL_CHARS",
    "..": "ILLEGAL_CHARS",
    "L" * 65: "TOO_LONG",
}
PLAN = {
    "symbol": "BTC/USDT",
    "buy_exchange": "binance",
    "sell_exchange": "okx",
    "buy_price": 50_000,
    "sell_price": 50_100,
    "amount": 0.1,
}


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("MarketOrder", order("ids"), "order_id"),
        ("TwapOrder", order("ids"), "order_id"),
        ("Arbitrage", json.dumps(PLAN), "id"),
    ],
)
async def test_an_id_that_no_order_may_have_is_denied_and_nothing_is_stored(
    world: World, tmp_path, kind, body, field
):
    cli = TemporalCli(world, str(tmp_path))
    for wrong, code in REFUSED.items():
        await cli.start(kind, wrong, "--input", body)
        told = await cli.result(wrong)
        assert (told["status"], told["code"], told["field"]) == ("denied", code, field), wrong
    stored, _ = await world.views.orders(strategy_id="ids")
    assert stored == []
