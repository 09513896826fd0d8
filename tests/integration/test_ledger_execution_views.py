"""Executions as the ledger shows them: pages, filters, and their legs as orders."""

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.execution_world import an_execution, begun, fill
from tests.integration.ledger_world import World
from workflows.domain.executions import ExecutionKind, ExecutionStatus


async def test_executions_are_shown_newest_first_page_by_page(ledger: World) -> None:
    names = [f"arb-{number}" for number in range(5)]
    for name in names:
        await ledger.executions.open_execution(an_execution(name))
    page, cursor = await ledger.views.executions(ExecutionKind.ARBITRAGE, limit=3)
    rest, end = await ledger.views.executions(ExecutionKind.ARBITRAGE, limit=3, cursor=cursor)
    assert [each.execution_id for each in (*page, *rest)] == names[::-1]
    assert end is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": ExecutionKind.REBALANCE}, []),
        ({"strategy_id": "s1"}, ["arb-1"]),
        ({"strategy_id": "s2"}, []),
        ({"status": ExecutionStatus.RUNNING}, ["arb-1"]),
        ({"status": ExecutionStatus.FAILED}, []),
    ],
)
async def test_executions_are_filtered(
    ledger: World, filters: dict[str, Any], expected: list[str]
) -> None:
    await begun(ledger)
    page, _ = await ledger.views.executions(**filters)
    assert [each.execution_id for each in page] == expected


async def test_the_legs_of_an_execution_are_shown_with_their_fills(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "0.4", fee="0.0004")
    shown = await ledger.views.execution_legs("arb-1")
    assert [leg.order_id for leg in shown] == [buy.order_id, sell.order_id]
    assert [leg.filled_quantity for leg in shown] == [Decimal("0.4"), 0]
    assert shown[0].fees == {"BTC": Decimal("0.0004")}
    assert [len(leg.children) for leg in shown] == [1, 1]


async def test_an_id_of_the_longest_kind_makes_legs_that_can_be_read(ledger: World) -> None:
    name = "a" * 64
    pair = await begun(ledger, name)
    for leg in pair:
        shown = await ledger.views.order(leg.order_id)
        assert shown is not None
        assert shown.order_id == leg.order_id
    page, cursor = await ledger.views.orders(limit=1)
    assert len(page) == 1
    assert len((await ledger.views.orders(limit=1, cursor=cursor))[0]) == 1
