"""The controls beside position and kill switch: their bounds, who is exempt, what overrides."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.checks import (
    Block,
    Compensation,
    Controls,
    check_amendment,
    check_child,
    check_children,
    check_parent,
)
from workflows.domain.orders import OrderType, Side
from workflows.domain.risk import (
    Cap,
    Exposure,
    Funds,
    Limits,
    Proposal,
    check_quantity,
    check_self_match,
)

LIMITS = Limits(
    max_order_value=Decimal(100_000),
    max_position_value=Decimal(500_000),
    max_order_quantity=Decimal("1.5"),
    max_messages_per_s=Decimal(10),
    max_parents_per_day=Decimal(3),
    max_children=Decimal(5),
)
ACTIVE = Block(state=None, scope=None, reason=None)
REDUCING = Block(state="reducing", scope="strategy:s1", reason="", code="LOSS_LIMIT")
FLAT = Exposure(position=Decimal(0), working_buy=Decimal(0), working_sell=Decimal(0))
LONG = replace(FLAT, position=Decimal(2))
REFERENCE = Decimal(50_000)


def proposal(side: Side = Side.BUY, quantity: str = "1", **changes: Any) -> Proposal:
    known = {"side": side, "quantity": Decimal(quantity), "price": REFERENCE, **changes}
    return Proposal(reference_price=REFERENCE, **known)


def funds(free: str, asset: str = "USDT", reserved: str = "0") -> Funds:
    held = Decimal(free) + Decimal(reserved)
    return Funds(asset=asset, held=held, reserved=Decimal(reserved))


def cap(used: str, scope: str = "global") -> Cap:
    return Cap(scope=scope, limit=Decimal(200_000), used=Decimal(used))


def child_code(
    order: Proposal, controls: Controls, exposure: Exposure = FLAT, **others: Any
) -> str | None:
    limits = others.pop("limits", LIMITS)
    block = others.pop("block", ACTIVE)
    denied = check_child(order, exposure, block, limits, controls=controls, **others)
    return None if denied is None else denied.code.value


def parent_code(
    order: Proposal, controls: Controls, exposure: Exposure = FLAT, **others: Any
) -> str | None:
    kind = others.pop("order_type", OrderType.LIMIT)
    block = others.pop("block", ACTIVE)
    denied = check_parent(
        order,
        exposure,
        block,
        LIMITS,
        order_type=kind,
        account_ready=True,
        controls=controls,
        **others,
    )
    return None if denied is None else denied.code.value


# --- each at its bound --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "code"), [("1.5", None), ("1.500000000000000001", "RISK_MAX_QTY")]
)
def test_the_quantity_of_one_order_is_limited(quantity: str, code: str | None) -> None:
    assert child_code(proposal(quantity=quantity), Controls()) == code


def test_without_any_known_limit_nothing_is_sent() -> None:
    unknown = replace(LIMITS, max_order_quantity=None, max_order_value=None)
    denied = check_quantity(proposal(), unknown)
    assert denied is not None
    assert denied.code == "RISK_NO_LIMIT"
    assert check_quantity(proposal(), replace(unknown, max_order_value=Decimal(1))) is None


@pytest.mark.parametrize(
    ("used", "code"),
    [("150000", None), ("150000.000000000000000001", "RISK_MAX_EXPOSURE")],
)
def test_a_sum_of_exposures_is_limited(used: str, code: str | None) -> None:
    controls = Controls(caps=(cap("0"), cap(used, "account:binance:main")))
    assert child_code(proposal(), controls) == code
    assert parent_code(proposal(), controls) == code


def test_an_order_counts_at_its_price_or_the_market_whichever_is_more() -> None:
    dear, cheap = Decimal(50_500), Decimal(40_000)
    assert proposal(price=dear).unit_value == dear
    assert proposal(price=cheap).unit_value == REFERENCE
    assert proposal(price=None).unit_value == REFERENCE
    assert proposal(Side.SELL, trigger_price=cheap, price=None).unit_value == cheap


@pytest.mark.parametrize(
    ("order", "free", "code"),
    [
        (proposal(), "50000", None),
        (proposal(), "49999.999999999999999999", "INSUFFICIENT_FUNDS"),
        (proposal(price=Decimal(40_000)), "40000", None),
        (proposal(price=None), "50000", None),
        (proposal(price=None), "49999", "INSUFFICIENT_FUNDS"),
        (proposal(Side.SELL), "1", None),
        (proposal(Side.SELL), "0.999999999999999999", "INSUFFICIENT_FUNDS"),
        (proposal(Side.SELL), "-3", "INSUFFICIENT_FUNDS"),
    ],
)
def test_what_the_venue_would_hold_must_be_free(
    order: Proposal, free: str, code: str | None
) -> None:
    controls = Controls(funds=funds(free, reserved="7"))
    assert child_code(order, controls) == code
    assert parent_code(order, controls) == code


def test_an_order_that_lacks_funds_is_told_which_and_how_much() -> None:
    denied = check_child(proposal(), FLAT, ACTIVE, LIMITS, controls=Controls(funds=funds("10")))
    assert denied is not None
    assert denied.detail == "asset=USDT needed=50000 free=10"


@pytest.mark.parametrize(
    ("order", "own_best", "meets"),
    [
        (proposal(), "50000", True),
        (proposal(), "50000.01", False),
        (proposal(), "49999.99", True),
        (proposal(Side.SELL), "50000", True),
        (proposal(Side.SELL), "49999.99", False),
        (proposal(price=None), "50000", True),
        (proposal(price=None), "50000.01", False),
        (proposal(trigger_price=Decimal(51_000)), "49000", False),
        (proposal(trigger_price=Decimal(49_000), limit_leg_price=Decimal(51_000)), "51000", True),
    ],
)
def test_an_order_does_not_meet_our_own(order: Proposal, own_best: str, meets: bool) -> None:
    denied = check_self_match(order, Decimal(own_best))
    assert (denied and denied.code) == ("RISK_SELF_MATCH" if meets else None)
    assert check_self_match(order, None) is None


@pytest.mark.parametrize(("sent", "code"), [("9", None), ("10", "RATE_LIMITED")])
def test_orders_wait_while_their_account_sends_too_much(sent: str, code: str | None) -> None:
    controls = Controls(messages=Decimal(sent))
    assert parent_code(proposal(), controls) == code
    assert child_code(proposal(), controls) is None  # what was accepted goes on


@pytest.mark.parametrize(("orders", "code"), [(2, None), (3, "STRATEGY_DISABLED")])
def test_a_strategy_has_so_many_orders_a_day(orders: int, code: str | None) -> None:
    controls = Controls(parents_today=orders)
    assert parent_code(proposal(), controls) == code
    assert child_code(proposal(), controls) is None


def test_the_same_order_again_is_denied() -> None:
    assert parent_code(proposal(), Controls(same_as="o1")) == "RISK_DUPLICATE"


@pytest.mark.parametrize(("siblings", "is_denied"), [(4, False), (5, True)])
def test_an_order_has_so_many_children(siblings: int, is_denied: bool) -> None:
    denied = check_children(siblings, LIMITS)
    assert (denied and denied.code) == ("RISK_OVERSHOOT" if is_denied else None)


def test_a_disabled_strategy_neither_starts_nor_goes_on() -> None:
    controls = Controls(disabled="rejects_in_row=10")
    assert parent_code(proposal(), controls) == "STRATEGY_DISABLED"
    assert child_code(proposal(), controls) == "STRATEGY_DISABLED"


# --- who is exempt ------------------------------------------------------------------------------

EVERYTHING = Controls(
    disabled="x",
    own_best=REFERENCE,
    caps=(cap("200000"),),
    parents_today=3,
    same_as="o1",
)
"""All that a protective exit may pass."""


def residual(of: str) -> Compensation:
    nothing = Decimal(0)
    return Compensation(
        execution_id="e1", residual=Decimal(of), taken_by_buys=nothing, taken_by_sells=nothing
    )


def test_what_only_reduces_passes_every_control_on_size_price_and_strategy() -> None:
    exit_ = proposal(Side.SELL, "2", price=Decimal(1), reduce_only=True)
    assert child_code(exit_, EVERYTHING, LONG, block=REDUCING) is None
    assert parent_code(exit_, EVERYTHING, LONG, block=REDUCING) is None


def test_what_reduces_a_residual_passes_them_too() -> None:
    unwind = proposal(Side.SELL, "2", price=Decimal(1))
    held = residual("2")
    assert child_code(unwind, EVERYTHING, compensation=held, block=REDUCING) is None
    busy = replace(EVERYTHING, messages=Decimal(10))
    assert parent_code(unwind, busy, compensation=held, block=REDUCING) is None


def test_what_happens_to_reduce_is_held_to_the_price_and_size_of_an_order_alone() -> None:
    sell = proposal(Side.SELL, "1")
    fits = replace(EVERYTHING, same_as=None)
    assert child_code(sell, fits, LONG, block=REDUCING) is None
    assert parent_code(sell, fits, LONG, block=REDUCING) is None
    assert parent_code(sell, EVERYTHING, LONG) == "RISK_DUPLICATE"
    assert child_code(replace(sell, quantity=Decimal(2)), fits, LONG) == "RISK_MAX_QTY"
    assert child_code(replace(sell, price=Decimal(1)), fits, LONG) == "RISK_PRICE_COLLAR"


def test_nothing_that_reduces_passes_a_lack_of_funds() -> None:
    short_of = Controls(funds=funds("0.5", "BTC"))
    exit_ = proposal(Side.SELL, reduce_only=True)
    assert child_code(exit_, short_of, LONG) == "INSUFFICIENT_FUNDS"
    unwind = proposal(Side.SELL)
    assert child_code(unwind, short_of, compensation=residual("1")) == "INSUFFICIENT_FUNDS"


def test_an_exit_may_wait_for_what_it_will_sell() -> None:
    exit_ = proposal(Side.SELL, reduce_only=True)
    assert parent_code(exit_, Controls(funds=funds("0", "BTC"))) is None


def test_a_loss_limit_denies_with_its_own_code() -> None:
    assert child_code(proposal(), Controls(), block=REDUCING) == "LOSS_LIMIT"


# --- what overrides -----------------------------------------------------------------------------


def overriding(*codes: str, **changes: Any) -> Controls:
    return Controls(overridden=frozenset(codes), **changes)


@pytest.mark.parametrize(
    ("order", "controls"),
    [
        (proposal(quantity="1.6"), overriding("RISK_MAX_QTY")),
        (proposal(price=Decimal(60_000)), overriding("RISK_PRICE_COLLAR")),
        (proposal(), overriding("RISK_MAX_EXPOSURE", caps=(cap("200000"),))),
        (proposal(), overriding("RISK_SELF_MATCH", own_best=Decimal(1))),
        (proposal(), overriding("STRATEGY_DISABLED", disabled="x")),
    ],
)
def test_an_override_lets_pass_its_code_and_no_other(order: Proposal, controls: Controls) -> None:
    code = next(iter(controls.overridden))
    assert child_code(order, controls) is None
    assert child_code(order, replace(controls, overridden=frozenset())) == code
    assert child_code(order, replace(controls, funds=funds("0"))) == "INSUFFICIENT_FUNDS"


def test_a_loss_limit_is_overridden_while_it_reduces_and_never_when_it_halts() -> None:
    pass_it = overriding("LOSS_LIMIT", "TRADING_HALTED")
    halted = replace(REDUCING, state="halted")
    for code_of in (child_code, parent_code):
        assert code_of(proposal(), pass_it, block=REDUCING) is None
        assert code_of(proposal(), pass_it, block=halted) == "LOSS_LIMIT"
        assert code_of(proposal(Side.SELL), pass_it, LONG, block=halted) == "LOSS_LIMIT"


def test_an_approval_tells_what_was_overridden() -> None:
    assert overriding("RISK_MAX_QTY", "LOSS_LIMIT").told == "overrides=LOSS_LIMIT,RISK_MAX_QTY"
    assert Controls().told == ""


def test_an_amendment_that_enlarges_needs_funds_and_one_that_only_moves_needs_none() -> None:
    short_of = Controls(funds=funds("0"))
    codes = []
    for is_enlarged in (True, False):
        denied = check_amendment(
            proposal(),
            FLAT,
            ACTIVE,
            LIMITS,
            order_type=OrderType.LIMIT,
            account_ready=True,
            is_enlarged=is_enlarged,
            controls=short_of,
        )
        codes.append(denied and denied.code)
    assert codes == ["INSUFFICIENT_FUNDS", None]
