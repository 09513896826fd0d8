"""Pre-trade checks: each limit holds exactly at its bound, and the kill switch before all."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.ledger.checks import (
    Block,
    check_block,
    check_child,
    check_overshoot,
    check_parent,
    reduces,
)
from workflows.domain.denials import DenialCode
from workflows.domain.instruments import Instrument
from workflows.domain.orders import OrderType, Side
from workflows.domain.risk import (
    Exposure,
    Limits,
    Proposal,
    check_collar,
    check_filters,
    check_order_value,
    check_position,
)

LIMITS = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(500_000))
REFERENCE = Decimal(50_000)
ACTIVE = Block(state=None, scope=None, reason=None)
BTC = Instrument(
    venue="binance",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.00001"),
    min_quantity=Decimal("0.0001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(10),
    is_trading=True,
)


def proposal(side: Side = Side.BUY, quantity: str = "1", price: str | None = None) -> Proposal:
    return Proposal(
        side=side,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        reference_price=REFERENCE,
    )


def exposure(position: str = "0", buying: str = "0", selling: str = "0") -> Exposure:
    return Exposure(
        position=Decimal(position), working_buy=Decimal(buying), working_sell=Decimal(selling)
    )


@pytest.mark.parametrize(
    ("quantity", "price", "code", "field"),
    [
        ("1", "50000", None, None),
        ("0.0001", "100000", None, None),
        ("0.000011", "50000", DenialCode.PRECISION, "quantity"),
        ("1", "50000.001", DenialCode.PRECISION, "price"),
        ("0.00009", "50000", DenialCode.OUT_OF_RANGE, "quantity"),
        ("100.00001", "50000", DenialCode.OUT_OF_RANGE, "quantity"),
        ("0.0001", "99999.99", DenialCode.MIN_NOTIONAL, "quantity"),
        ("0.0001", None, DenialCode.MIN_NOTIONAL, "quantity"),
    ],
)
def test_the_venues_filters_hold_at_their_bounds(
    quantity: str, price: str | None, code: DenialCode | None, field: str | None
) -> None:
    limit = None if price is None else Decimal(price)
    denied = check_filters(BTC, Decimal(quantity), limit, REFERENCE)
    assert (denied and denied.code, denied and denied.field) == (code, field)


def test_a_symbol_without_usable_rules_is_not_traded() -> None:
    broken = replace(BTC, step=Decimal(0))
    denied = check_filters(broken, Decimal(1), None, REFERENCE)
    assert denied is not None
    assert denied.code is DenialCode.SYMBOL_RULES_INVALID


def test_a_notional_is_compared_to_the_last_digit() -> None:
    fine = replace(BTC, tick=Decimal("1E-18"), step=Decimal("1E-18"), max_quantity=None)
    just_below = Decimal("123456789012345677.999999999999999999")
    rules = replace(fine, min_notional=Decimal("123456789012345678"))
    denied = check_filters(rules, just_below, Decimal(1), REFERENCE)
    assert denied is not None
    assert denied.code is DenialCode.MIN_NOTIONAL
    assert check_filters(rules, rules.min_notional, Decimal(1), REFERENCE) is None


def test_a_symbol_that_does_not_trade_is_refused() -> None:
    denied = check_filters(replace(BTC, is_trading=False), Decimal(1), None, REFERENCE)
    assert denied is not None
    assert denied.code is DenialCode.SYMBOL_NOT_TRADING


@pytest.mark.parametrize(
    ("side", "price", "is_denied"),
    [
        (Side.BUY, "51000", False),
        (Side.BUY, "51000.01", True),
        (Side.BUY, "25000", False),
        (Side.BUY, "24999.99", True),
        (Side.SELL, "49000", False),
        (Side.SELL, "48999.99", True),
        (Side.SELL, "75000", False),
        (Side.SELL, "75000.01", True),
    ],
)
def test_the_collar_is_tight_on_the_aggressive_side(
    side: Side, price: str, is_denied: bool
) -> None:
    denied = check_collar(proposal(side, price=price), LIMITS)
    assert (denied is not None) is is_denied


@pytest.mark.parametrize("reference", ["0", "-1"])
def test_without_a_reference_nothing_passes_the_collar(reference: str) -> None:
    stale = replace(proposal(), reference_price=Decimal(reference))
    denied = check_collar(stale, LIMITS)
    assert denied is not None
    assert denied.code is DenialCode.RISK_STALE_REF


@pytest.mark.parametrize(
    ("quantity", "price", "is_denied"),
    [
        ("2", "50000", False),
        ("2.00001", "50000", True),
        ("2", "40000", False),  # a low limit does not buy more: the reference counts
        ("2.00001", "40000", True),
        ("1.96", None, False),
        ("1.97", None, True),
    ],
)
def test_an_orders_value_is_taken_at_its_worst_price(
    quantity: str, price: str | None, is_denied: bool
) -> None:
    denied = check_order_value(proposal(quantity=quantity, price=price), LIMITS)
    assert (denied is not None) is is_denied


@pytest.mark.parametrize(
    ("side", "quantity", "before", "is_denied"),
    [
        (Side.BUY, "10", exposure(), False),
        (Side.BUY, "10.00001", exposure(), True),
        (Side.BUY, "1", exposure("9.5"), True),
        (Side.BUY, "1", exposure("5", buying="4.5"), True),
        (Side.BUY, "1", exposure("5", buying="4"), False),
        (Side.BUY, "1", exposure("9.5", selling="9"), True),  # the sell may never fill
        (Side.SELL, "10", exposure(), False),
        (Side.SELL, "10.00001", exposure(), True),
        (Side.SELL, "5", exposure("20"), False),  # over the limit already: closing is allowed
        (Side.SELL, "30", exposure("20"), False),
        (Side.SELL, "30.00001", exposure("20"), True),  # what it opens is new
    ],
)
def test_the_position_limit_counts_everything_that_may_still_fill(
    side: Side, quantity: str, before: Exposure, is_denied: bool
) -> None:
    denied = check_position(proposal(side, quantity), LIMITS, before)
    assert (denied is not None) is is_denied


@pytest.mark.parametrize(
    ("before", "side", "quantity", "expected"),
    [
        (exposure("2"), Side.SELL, "2", True),
        (exposure("2"), Side.SELL, "2.1", False),
        (exposure("2", selling="1"), Side.SELL, "1.1", False),
        (exposure("2"), Side.BUY, "1", False),
        (exposure("-2"), Side.BUY, "2", True),
        (exposure("-2", buying="1"), Side.BUY, "1.1", False),
        (exposure("-2"), Side.SELL, "1", False),
        (exposure("0"), Side.SELL, "0.1", False),
        (exposure("0"), Side.BUY, "0.1", False),
    ],
)
def test_reducing_never_flips_a_position(
    before: Exposure, side: Side, quantity: str, expected: bool
) -> None:
    assert reduces(before, side, Decimal(quantity)) is expected


def test_a_halt_stops_even_what_reduces() -> None:
    halted = Block(state="halted", scope="global", reason="")
    denied = check_block(halted, exposure("2"), Side.SELL, Decimal(1))
    assert denied is not None
    assert denied.code is DenialCode.TRADING_HALTED


def test_children_may_reach_their_parent_and_not_pass_it() -> None:
    assert check_overshoot(Decimal("0.7"), Decimal("0.3"), Decimal(1)) is None
    denied = check_overshoot(Decimal("0.7"), Decimal("0.300000000000000001"), Decimal(1))
    assert denied is not None
    assert denied.code is DenialCode.RISK_OVERSHOOT


def test_a_difference_beyond_28_digits_still_counts() -> None:
    parent = Decimal("123456789012345678")
    used = parent - 1
    assert check_overshoot(used, Decimal("1.000000000000000001"), parent) is not None


def test_a_parent_that_is_sliced_is_not_checked_for_the_value_of_one_order() -> None:
    whole = proposal(quantity="5")
    for order_type, code in ((OrderType.TWAP, None), (OrderType.MARKET, "RISK_MAX_NOTIONAL")):
        denied = check_parent(
            whole, exposure(), ACTIVE, LIMITS, order_type=order_type, account_ready=True
        )
        assert (denied and denied.code) == code


@given(
    quantity=st.decimals(min_value="0.00001", max_value=1_000, places=5),
    position=st.decimals(min_value=-20, max_value=20, places=5),
    working=st.decimals(min_value=0, max_value=20, places=5),
    side=st.sampled_from(Side),
)
def test_what_is_approved_stays_within_the_limits_or_shrinks_the_position(
    quantity: Decimal, position: Decimal, working: Decimal, side: Side
) -> None:
    before = Exposure(position=position, working_buy=working, working_sell=working)
    order = Proposal(side=side, quantity=quantity, price=None, reference_price=REFERENCE)
    if check_child(order, before, ACTIVE, LIMITS) is not None:
        return
    after = position + side.sign * (working + quantity)
    within = abs(after) * REFERENCE <= LIMITS.max_position_value
    assert within or abs(after) <= abs(position)
    assert quantity * REFERENCE * Decimal("1.02") <= LIMITS.max_order_value
