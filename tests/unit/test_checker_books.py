"""The checker's rules of the books: positions, profit and balances, and each planted fault."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.checker_samples import (
    ACCOUNT,
    SYMBOL,
    VENUE,
    a_fill,
    a_ledger,
    a_log,
    a_trade,
    found,
)
from workers.checker_ledger import PositionFacts
from workflows.domain.positions import PositionState

HELD = PositionState(
    quantity=Decimal("1.998"),
    cost=Decimal("199.8"),
    fees_quote=Decimal("0.2"),
    cash=Decimal(-200),
)
"""What `a_fill()` comes to."""
POSITION = f"POSITION s1/{ACCOUNT}/{VENUE}/{SYMBOL}"


def a_position(**changes: Any) -> PositionFacts:
    name = ("s1", ACCOUNT, VENUE, SYMBOL)
    return PositionFacts(name=name, fill_count=1, state=replace(HELD, **changes))


@pytest.mark.parametrize("column", ["quantity", "cost", "realised_gross", "fees_quote", "cash"])
def test_a_position_is_what_its_fills_come_to(column):
    assert found(a_log(), a_ledger(positions=(a_position(),))) == []
    wrong = a_position(**{column: getattr(HELD, column) + Decimal("0.00000001")})
    assert found(a_log(), a_ledger(positions=(wrong,))) == [POSITION]


def test_a_position_counts_every_fill_and_every_fill_has_a_position():
    uncounted = replace(a_position(), fill_count=-1)
    assert found(a_log(), a_ledger(positions=(uncounted,))) == [POSITION]
    elsewhere = replace(a_position(), name=("s2", ACCOUNT, VENUE, SYMBOL))
    report = found(a_log(), a_ledger(positions=(elsewhere,)))
    assert report == [POSITION, POSITION.replace("s1", "s2")]


def test_a_fee_in_a_third_asset_counts_with_the_rate_that_was_read():
    fill = a_fill(fee=Decimal(1), fee_asset="BNB", fee_rate=Decimal(600))
    trade = a_trade(fee=Decimal(1), fee_asset="BNB")
    log = a_log()
    log.trades[:] = [trade]
    log.start_balances[ACCOUNT]["BNB"] = Decimal(5)
    balances = {"BTC": Decimal(12), "USDT": Decimal(800), "BNB": Decimal(4)}
    state = PositionState(
        quantity=Decimal(2),
        cost=Decimal(200),
        fees_quote=Decimal(600),
        fees_other=Decimal(600),
        cash=Decimal(-200),
    )
    ledger = a_ledger(
        fills=(fill,),
        positions=(replace(a_position(), state=state),),
        balances={(VENUE, ACCOUNT): balances},
    )
    assert found(log, ledger) == []
    unvalued = replace(state, fees_quote=Decimal(0), fees_other=Decimal(0))
    wrong = replace(ledger, positions=(replace(a_position(), state=unvalued),))
    assert found(log, wrong) == [POSITION]


def test_a_balance_that_the_engine_keeps_is_what_its_entries_come_to():
    balances = a_ledger().balances[VENUE, ACCOUNT]
    kept = {(VENUE, ACCOUNT): {**balances, "USDT": Decimal(801), "XRP": Decimal(1)}}
    report = found(a_log(), a_ledger(kept_balances=kept))
    assert report == ["I6 binance/main/USDT", "I6 binance/main/XRP"]
