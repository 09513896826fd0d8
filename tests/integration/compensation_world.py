"""What the tests of compensation share: a residual, and orders that reduce it."""

from decimal import Decimal
from typing import Any

from tests.integration.execution_world import OTHER, a_leg, accept, begun, fill
from tests.integration.ledger_world import EXCHANGE, World, open_world
from workflows.domain.denials import DenialCode
from workflows.domain.orders import Side
from workflows.domain.risk import Limits
from workflows.ports import AcceptLeg

TINY = Limits(max_order_value=Decimal(1), max_position_value=Decimal(1))
"""Nothing passes these but what skips them."""
VENUES = {Side.BUY: EXCHANGE, Side.SELL: OTHER}


def hedge(side: Side, quantity: str, *, name: str = "complete-1", **changes: Any) -> AcceptLeg:
    """A compensation of arb-1."""
    fields = {"quantity": Decimal(quantity), "compensates": "arb-1", **changes}
    return a_leg("arb-1", name, side, VENUES[side], **fields)


async def long(ledger: World, quantity: str, *, fee: str = "0") -> None:
    """arb-1 has bought this much and sold nothing."""
    buy, sell = await begun(ledger)
    await fill(ledger, buy, quantity, fee=fee)
    await fill(ledger, sell, "0")


async def denial(ledger: World, leg: AcceptLeg, limits: Limits | None = None) -> DenialCode | None:
    if limits is None:
        verdict = await accept(ledger, leg, locks=())
    else:
        async with open_world(ledger.url, limits) as strict:
            verdict = await accept(strict, leg, locks=())
    return verdict.denied and verdict.denied.code
