"""Average cost and first-in-first-out: the published figures, and rules that hold for any fills."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.domain.positions import (
    FeeKind,
    FifoLots,
    PositionFill,
    PositionState,
    book,
    fee_kind,
    fifo,
    place_of,
    with_fee_valued,
)

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "pnl.json").read_text(encoding="utf-8"))
SERIES = sorted(name for name in VECTORS if name.startswith("series"))
KINDS = {"QUOTE": FeeKind.QUOTE, "BASE": FeeKind.BASE}
TOLERANCE = Decimal("1e-12")


def filled(row: dict[str, Any]) -> PositionFill:
    return PositionFill(
        side=Side(row["side"].lower()),
        quantity=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        fee=Decimal(row["fee"]),
        fee_kind=KINDS.get(row["fee_ccy"], FeeKind.OTHER),
        fee_rate=Decimal(row["fee_rate_to_quote"]),
    )


def told(state: Any, mark: Decimal) -> dict[str, Decimal | None]:
    """Our figures by the names of the vectors."""
    worth = state.valued(mark)
    figures = {
        "avg_entry": state.average_price,
        "realised_gross": state.realised_gross,
        "realised_net": state.realised_net,
        "unrealised": worth.unrealised,
        "total": worth.total,
        "qty": state.quantity,
        "cost_basis": state.cost,
        "fees_quote": state.fees_quote,
    }
    return figures | ({"cash_quote": state.cash} if isinstance(state, PositionState) else {})


def check(row: dict[str, Any], ours: dict[str, Decimal | None]) -> None:
    quantity = ours["qty"]
    assert quantity is not None
    for name, text in row.items():
        if name == "side":
            assert text == ("FLAT" if not quantity else "LONG" if quantity > 0 else "SHORT")
        elif text is None:
            assert ours[name] is None, name
        else:
            figure = ours[name]
            assert figure is not None, name
            assert abs(figure - Decimal(text)) <= TOLERANCE, (name, figure, text)


@pytest.mark.parametrize("series", SERIES)
def test_every_published_row_is_met_by_both_methods(series):
    rows = VECTORS[series]["rows"]
    state, lots = PositionState(), FifoLots()
    for row in rows:
        before, state = state, book(state, filled(row))
        lots.add(filled(row))
        closed = abs(before.quantity) + filled(row).quantity - abs(state.quantity)
        if row["fee_ccy"] != "BASE":
            assert closed / 2 == Decimal(row["closed_qty"])
        check(row["average_cost"], told(state, Decimal(row["mark"])))
        check(row["fifo"], told(lots.view(), Decimal(row["mark"])))
    assert len(rows) >= 3


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("in_order", (0, 1, 2, 3)),
        ("swapped_3_4", (0, 1, 3, 2)),
        ("swapped_2_3_increase_across_reduce", (0, 2, 1, 3)),
    ],
)
def test_fills_in_another_order_split_as_published(name, order):
    rows = VECTORS[SERIES[0]]["rows"]
    state = PositionState()
    for number in order:
        state = book(state, filled(rows[number]))
    check(VECTORS["out_of_order"][name], told(state, Decimal(VECTORS["out_of_order"]["mark"])))


def test_a_fill_across_zero_opens_the_rest_at_its_own_price():
    state = book(PositionState(), a_fill(Side.BUY, "1", "100"))
    state = book(state, a_fill(Side.SELL, "3", "110"))
    assert (state.quantity, state.average_price, state.realised_gross) == (-2, 110, 10)


def test_a_fee_in_the_base_asset_is_not_held():
    fee = {"fee": Decimal("0.001"), "fee_kind": FeeKind.BASE}
    bought = book(PositionState(), a_fill(Side.BUY, "1", "100", **fee))
    assert (bought.quantity, bought.cost, bought.cash) == (Decimal("0.999"), Decimal("99.9"), -100)
    sold = book(PositionState(), a_fill(Side.SELL, "1", "100", **fee))
    assert (sold.quantity, sold.cash, sold.fees_quote) == (Decimal("-1.001"), 100, Decimal("0.1"))


def test_a_fee_that_is_valued_later_counts_as_if_it_had_been_known():
    paid = {"fee": Decimal(2), "fee_kind": FeeKind.OTHER}
    later = book(PositionState(), a_fill(Side.BUY, "1", "100", **paid))
    assert later.fees_quote == 0
    known = book(PositionState(), a_fill(Side.BUY, "1", "100", **paid, fee_rate=Decimal("300.5")))
    assert with_fee_valued(later, Decimal(2), Decimal("300.5")) == known
    assert (known.fees_other, known.cash) == (601, -100)


def test_lots_can_begin_only_where_nothing_is_held():
    with pytest.raises(ValueError, match="flat"):
        FifoLots(PositionState(quantity=Decimal(1)))


@pytest.mark.parametrize(
    ("asset", "kind"),
    [("USDT", FeeKind.QUOTE), ("BTC", FeeKind.BASE), ("BNB", FeeKind.OTHER)],
)
def test_a_fee_counts_by_the_assets_of_the_symbol(asset, kind):
    assert fee_kind(asset, "BTC/USDT") is kind


def test_trade_ids_stand_as_numbers_before_any_text():
    ids = ["10", "b", "9", "1a", "007"]
    assert sorted(ids, key=lambda each: place_of(1, each)) == ["007", "9", "10", "1a", "b"]
    assert place_of(1, "9") < place_of(1, "9", "buy") < place_of(1, "9", "sell") < place_of(2, "1")


# --- any fills ------------------------------------------------------------------------------------


def a_fill(side: Side, quantity: str, price: str, **changes: Any) -> PositionFill:
    return PositionFill(side=side, quantity=Decimal(quantity), price=Decimal(price), **changes)


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places)


FILLS = st.lists(
    st.builds(
        PositionFill,
        side=st.sampled_from(Side),
        # few different quantities, so that positions are often exactly closed
        quantity=st.one_of(
            st.sampled_from([Decimal("0.5"), Decimal(1), Decimal("1.5")]),
            decimals("0.000000000000000001", "3", 18),
        ),
        price=decimals("0.000000000000000001", "70000", 18),
        fee=decimals("-0.01", "0.4", 18),
        fee_kind=st.sampled_from(FeeKind),
        fee_rate=decimals("0.0001", "700", 12),
    ),
    max_size=25,
)
MARK = decimals("0.000001", "70000", 6)


def counted(fills: list[PositionFill]) -> PositionState:
    state = PositionState()
    for fill in fills:
        state = book(state, fill)
    return state


@given(fills=FILLS, mark=MARK)
def test_pnl_is_cash_and_holdings_after_every_fill_for_both_methods(fills, mark):
    state, lots = PositionState(), FifoLots()
    for fill in fills:
        state = book(state, fill)
        lots.add(fill)
        with exact():
            worth = state.cash - state.fees_other + state.quantity * mark
            assert state.realised_net + state.valued(mark).unrealised == worth
        assert lots.view().valued(mark).total == worth
        assert lots.view().quantity == state.quantity
        assert state.quantity or not state.cost


@given(fills=FILLS, mark=MARK, data=st.data())
def test_any_order_of_the_same_fills_comes_to_the_same_holdings_and_total(fills, mark, data):
    mixed = data.draw(st.permutations(fills))
    one, other = counted(fills), counted(mixed)
    for name in ("quantity", "cash", "fees_quote", "fees_other"):
        assert getattr(one, name) == getattr(other, name)
    assert one.valued(mark).total == other.valued(mark).total
    assert fifo(mixed).valued(mark).total == one.valued(mark).total


@settings(max_examples=50)
@given(fills=FILLS)
def test_what_is_realised_is_the_exact_figure_but_for_its_thirtieth_decimal(fills):
    held = cost = gross = Fraction(0)
    for fill in fills:
        moved = fill.side.sign * Fraction(fill.quantity)
        moved -= Fraction(fill.fee) if fill.fee_kind is FeeKind.BASE else 0
        price = Fraction(fill.price)
        closed = Fraction(0)
        if held * moved < 0:
            closed = held if abs(moved) > abs(held) else -moved
        part = cost * closed / held if closed else Fraction(0)
        gross += closed * price - part
        cost += -part + (moved + closed) * price
        held += moved
    state = counted(fills)
    assert abs(Fraction(state.realised_gross) - gross) < Fraction(1, 10**25)
    assert abs(Fraction(state.cost) - cost) < Fraction(1, 10**25)


@given(fills=FILLS)
def test_lots_are_all_of_one_side_and_never_empty(fills):
    lots = fifo(fills).lots
    assert len({lot.quantity > 0 for lot in lots}) <= 1
    assert all(lot.quantity for lot in lots)
