"""A residual is never hedged twice, and a compensation that was forgotten blocks no other."""

from decimal import Decimal

import pytest

from activities.ledger.results import ClaimCode, TradingState
from tests.integration.compensation_world import TINY, denial, hedge, long
from tests.integration.execution_world import (
    a_leg,
    a_pair,
    accept,
    an_end,
    an_execution,
    begun,
    book,
    claim,
    fill,
    the_end,
)
from tests.integration.ledger_world import EXCHANGE, REFERENCE, World, open_world
from workflows.domain.denials import DenialCode
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

# --- what would enlarge it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "quantity"), [(Side.SELL, "2.00000001"), (Side.BUY, "0.00000001"), (Side.BUY, "1")]
)
async def test_what_would_leave_more_than_there_was_is_denied(
    ledger: World, side: Side, quantity: str
) -> None:
    await long(ledger, "1")
    verdict = await accept(ledger, hedge(side, quantity), locks=())
    assert verdict.denied is not None
    left = 1 if side is Side.SELL else 0
    assert verdict.denied.code is DenialCode.RISK_OVERSHOOT
    told = dict(each.split("=") for each in verdict.denied.detail.split())
    assert (told["side"], told["quantity"]) == (side, quantity)
    assert (Decimal(told["left"]), Decimal(told["residual"])) == (left, 1)


async def test_a_workflow_that_forgot_its_compensation_cannot_hedge_twice(ledger: World) -> None:
    """It was reset to before `complete-1`, which filled, and now prefers to unwind."""
    await long(ledger, "1")
    first = hedge(Side.SELL, "1")
    assert await denial(ledger, first) is None
    await fill(ledger, first, "1")
    again = a_leg("arb-1", "unwind-1", Side.SELL, EXCHANGE, compensates="arb-1")
    assert await denial(ledger, again) is DenialCode.RISK_OVERSHOOT
    assert await ledger.value("SELECT count(*) FROM reservations WHERE state = 'open'") == 0


async def test_a_compensation_that_may_be_live_is_not_doubled(ledger: World) -> None:
    await long(ledger, "1")
    first = hedge(Side.SELL, "1")
    assert await denial(ledger, first) is None
    assert await claim(ledger, first) is None
    again = a_leg("arb-1", "unwind-1", Side.SELL, EXCHANGE, compensates="arb-1")
    assert await denial(ledger, again) is DenialCode.RISK_OVERSHOOT
    assert await ledger.reservation(first.first.intent) == ("open", Decimal(1))


async def test_a_child_that_is_reserved_alone_cannot_enlarge_it_either(ledger: World) -> None:
    await long(ledger, "1")
    leg = hedge(Side.BUY, "0.5")
    await ledger.store.open_parent(leg.order_id, "chain", leg.request)
    first = leg.first
    _, denied = await ledger.store.reserve(
        first.intent, 1, REFERENCE, first.parent_quantity, "arb-1"
    )
    assert denied is not None
    assert denied.code is DenialCode.RISK_OVERSHOOT


async def test_the_second_leg_of_a_sequential_plan_is_the_compensation_of_the_first(
    ledger: World,
) -> None:
    """The bought part less its fee in base is sold, beside the held back leg that was given up."""
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "0.4", fee="0.0004")
    await ledger.store.give_up(sell.first.intent.client_order_id, "sized by the other leg")
    second = hedge(Side.SELL, "0.3996", name="sell-2")
    assert await denial(ledger, second, TINY) is None
    await fill(ledger, second, "0.1")
    assert await denial(ledger, hedge(Side.SELL, "0.2996"), TINY) is None


async def test_a_second_leg_may_be_bought_with_its_fee_in_base(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, sell, "0.4")
    await ledger.store.give_up(buy.first.intent.client_order_id, "sized by the other leg")
    assert await denial(ledger, hedge(Side.BUY, "0.4004", name="buy-2")) is None


async def test_an_order_that_rests_leaves_its_rest_to_the_next_and_to_the_last(
    ledger: World,
) -> None:
    await long(ledger, "1")
    for name, quantity, filled in (("hold-1", "1", "0.3"), ("hold-2", "0.7", "0")):
        resting = hedge(Side.SELL, quantity, name=name)
        assert await denial(ledger, resting, TINY) is None
        assert await claim(ledger, resting) is None
        await book(ledger, resting, filled)
        await book(ledger, resting, filled, status=VenueStatus.CANCELLED)
    assert await denial(ledger, hedge(Side.SELL, "0.7", name="flatten-3"), TINY) is None


# --- what was forgotten -------------------------------------------------------------------------


async def test_a_compensation_that_nobody_sent_gives_way_to_the_next(ledger: World) -> None:
    """A lost task left `complete-1`; it must not stand in the way, least while reducing."""
    await long(ledger, "1")
    forgotten = hedge(Side.SELL, "1")
    assert await denial(ledger, forgotten) is None
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    next_one = a_leg("arb-1", "unwind-1", Side.SELL, EXCHANGE, compensates="arb-1")
    assert await denial(ledger, next_one, TINY) is None
    assert (await ledger.reservation(forgotten.first.intent))[0] == "released"
    assert await ledger.child_status(forgotten.first.intent) == "not_sent"
    assert await ledger.reservation(next_one.first.intent) == ("open", Decimal(1))
    refused = await claim(ledger, forgotten)
    assert refused is not None
    assert refused.code is ClaimCode.ATTEMPT_CLOSED
    assert await claim(ledger, next_one) is None


async def test_what_gave_way_ends_cancelled_with_its_execution(ledger: World) -> None:
    await long(ledger, "1")
    forgotten, next_one = hedge(Side.SELL, "1"), hedge(Side.SELL, "1", name="complete-2")
    for leg in (forgotten, next_one):
        assert await denial(ledger, leg) is None
    await fill(ledger, next_one, "1")
    told = [an_end(leg, "filled", "1") for leg in (*a_pair(), next_one)]
    await ledger.executions.save_execution(the_end(*told))
    ended = await ledger.views.order(forgotten.order_id)
    assert ended is not None
    assert (ended.status, ended.filled_quantity) == ("cancelled", 0)
    assert await ledger.alarms() == []


async def test_a_child_that_is_reserved_alone_takes_the_place_of_what_was_forgotten(
    ledger: World,
) -> None:
    await long(ledger, "1")
    forgotten = hedge(Side.SELL, "1")
    assert await denial(ledger, forgotten) is None
    leg = hedge(Side.SELL, "1", name="complete-2")
    await ledger.store.open_parent(leg.order_id, "chain", leg.request)
    first = leg.first
    async with open_world(ledger.url, TINY) as strict:
        _, denied = await strict.store.reserve(
            first.intent, 1, REFERENCE, first.parent_quantity, "arb-1"
        )
    assert denied is None
    assert (await ledger.reservation(forgotten.first.intent))[0] == "released"


async def test_a_compensation_releases_no_leg_of_the_pair_and_of_no_other_execution(
    ledger: World,
) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "1")
    other = a_leg("arb-2", "buy", Side.BUY, EXCHANGE)
    await ledger.executions.open_execution(an_execution("arb-2"))
    assert (await accept(ledger, other, execution_id="arb-2", locks=())).denied is None
    assert await denial(ledger, hedge(Side.SELL, "1"), TINY) is None
    for leg in (sell, other):
        assert (await ledger.reservation(leg.first.intent))[0] == "open"
