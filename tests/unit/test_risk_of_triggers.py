"""Checks of what waits for a trigger, of what only reduces, and of what an amendment adds."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.ledger.checks import Block, check_amendment, check_child, check_parent
from workflows.domain.denials import DenialCode
from workflows.domain.orders import OrderType, Side
from workflows.domain.risk import (
    Exposure,
    Limits,
    Proposal,
    check_collar,
    check_order_value,
    check_reduce_only,
    free_to_close,
)

LIMITS = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(500_000))
REFERENCE = Decimal(50_000)


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
    ("side", "price", "trigger", "is_denied"),
    [
        (Side.SELL, "39200", "40000", False),
        (Side.SELL, "39199.99", "40000", True),
        (Side.SELL, "60000", "40000", False),
        (Side.SELL, "60000.01", "40000", True),
        (Side.BUY, "61200", "60000", False),
        (Side.BUY, "61200.01", "60000", True),
        (Side.SELL, None, "40000", False),
    ],
)
def test_what_waits_for_a_trigger_is_measured_from_there(
    side: Side, price: str | None, trigger: str, is_denied: bool
) -> None:
    order = replace(proposal(side, price=price), trigger_price=Decimal(trigger))
    denied = check_collar(order, LIMITS)
    assert (denied is not None) is is_denied


def test_the_limit_leg_of_an_order_list_is_measured_from_the_market() -> None:
    order = replace(
        proposal(Side.SELL, price="44900"),
        trigger_price=Decimal(45_000),
        limit_leg_price=Decimal(55_000),
    )
    assert check_collar(order, LIMITS) is None
    assert check_collar(replace(order, limit_leg_price=Decimal(48_999)), LIMITS) is not None
    assert check_collar(replace(order, limit_leg_price=Decimal(75_001)), LIMITS) is not None


def test_an_exit_that_was_fired_needs_only_a_market() -> None:
    order = replace(proposal(Side.SELL, price="30000"), was_fired=True)
    assert check_collar(order, LIMITS) is None
    denied = check_collar(replace(order, reference_price=Decimal(0)), LIMITS)
    assert denied is not None
    assert denied.code is DenialCode.RISK_STALE_REF


@pytest.mark.parametrize(
    ("quantity", "price", "leg", "is_denied"),
    [
        ("2.45", None, None, False),
        ("2.46", None, None, True),  # at the trigger of 40,000 and 2 %: 100,368
        ("2.5", "39900", None, False),
        ("2.51", "39900", None, True),
        ("2", "39900", "50000", False),
        ("2", "39900", "50000.01", True),
    ],
)
def test_a_triggered_order_has_the_value_that_it_will_trade_at(
    quantity: str, price: str | None, leg: str | None, is_denied: bool
) -> None:
    order = replace(
        proposal(Side.SELL, quantity, price),
        trigger_price=Decimal(40_000),
        limit_leg_price=None if leg is None else Decimal(leg),
    )
    assert (check_order_value(order, LIMITS) is not None) is is_denied


@pytest.mark.parametrize(
    ("side", "held", "free"),
    [
        (Side.SELL, exposure("2"), "2"),
        (Side.SELL, exposure("2", selling="0.5"), "1.5"),
        (Side.SELL, exposure("2", buying="5"), "2"),
        (Side.SELL, exposure("2", selling="3"), "0"),
        (Side.SELL, exposure("-2"), "0"),
        (Side.BUY, exposure("-2", buying="0.5"), "1.5"),
        (Side.BUY, exposure("2"), "0"),
        (Side.BUY, exposure(), "0"),
    ],
)
def test_free_to_close_is_what_no_other_order_closes(side: Side, held: Exposure, free: str) -> None:
    assert free_to_close(held, side) == Decimal(free)
    order = replace(proposal(side, "0.00001"), reduce_only=True)
    most = replace(order, quantity=max(Decimal(free), order.quantity))
    assert (check_reduce_only(most, held) is None) is (Decimal(free) > 0)
    more = replace(order, quantity=Decimal(free) + Decimal("1E-18"))
    denied = check_reduce_only(more, held)
    assert denied is not None
    assert denied.code is DenialCode.RISK_REDUCE_ONLY
    assert check_reduce_only(replace(more, reduce_only=False), held) is None


@given(
    quantity=st.decimals(min_value="0.00001", max_value=50, places=5),
    position=st.decimals(min_value=-20, max_value=20, places=5),
    working=st.decimals(min_value=0, max_value=20, places=5),
    side=st.sampled_from(Side),
    state=st.sampled_from([None, "reducing", "halted"]),
)
def test_what_only_reduces_never_flips_a_position_and_no_halt_lets_it_pass(
    quantity: Decimal, position: Decimal, working: Decimal, side: Side, state: str | None
) -> None:
    held = Exposure(position=position, working_buy=working, working_sell=working)
    order = replace(proposal(side), quantity=quantity, reduce_only=True)
    block = Block(state=state, scope="global", reason=None)
    fits = quantity + working <= -side.sign * position
    is_approved = check_child(order, held, block, LIMITS) is None
    assert is_approved is (fits and state != "halted")


def test_a_parent_that_only_reduces_may_wait_for_its_position() -> None:
    order = replace(proposal(Side.SELL, "20"), reduce_only=True)
    reducing = Block(state="reducing", scope="global", reason=None)
    for held in (exposure(), exposure("-9")):
        denied = check_parent(
            order,
            held,
            reducing,
            LIMITS,
            order_type=OrderType.STOP_LOSS,
            account_ready=True,
        )
        assert denied is None


@pytest.mark.parametrize(
    ("is_enlarged", "state", "is_ready", "price", "code"),
    [
        (True, "halted", True, None, DenialCode.TRADING_HALTED),
        (True, None, False, None, DenialCode.RECONCILING),
        (True, None, True, None, None),
        (False, "halted", False, None, None),
        (False, None, True, "60000", DenialCode.RISK_PRICE_COLLAR),
    ],
)
def test_an_amendment_is_checked_as_a_new_order_only_where_it_adds(
    is_enlarged: bool, state: str | None, is_ready: bool, price: str | None, code: DenialCode | None
) -> None:
    denied = check_amendment(
        proposal(price=price),
        exposure(),
        Block(state=state, scope="global", reason=None),
        LIMITS,
        order_type=OrderType.LIMIT,
        account_ready=is_ready,
        is_enlarged=is_enlarged,
    )
    assert (None if denied is None else denied.code) is code
