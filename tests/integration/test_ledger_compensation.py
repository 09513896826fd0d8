"""What reduces a residual is checked for less, and never for more than the residual."""

import asyncio
import itertools
import uuid
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.ledger.results import ClaimCode, TradingState, UnknownExecutionError
from tests.integration.compensation_world import TINY, VENUES, denial, hedge, long
from tests.integration.execution_world import (
    OTHER,
    a_leg,
    accept,
    an_execution,
    begun,
    book,
    claim,
    fill,
    ready,
)
from tests.integration.ledger_world import (
    EXCHANGE,
    REFERENCE,
    World,
    a_fill,
    a_report,
    open_world,
)
from workflows.domain.denials import DenialCode
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus
from workflows.ports import AcceptLeg

# --- what it skips ------------------------------------------------------------------------------


async def test_what_reduces_the_residual_skips_value_and_position(ledger: World) -> None:
    await long(ledger, "1")
    assert await denial(ledger, hedge(Side.SELL, "1"), TINY) is None
    assert await ledger.value("SELECT compensates FROM child_orders WHERE side = 'sell' "
                              "AND compensates IS NOT NULL") == "arb-1"  # fmt: skip


@pytest.mark.parametrize("quantity", ["1.00000001", "2"])
async def test_what_passes_zero_gets_the_ordinary_checks(ledger: World, quantity: str) -> None:
    await long(ledger, "1")
    leg = hedge(Side.SELL, quantity)
    assert await denial(ledger, leg, TINY) is DenialCode.RISK_MAX_NOTIONAL
    assert await denial(ledger, hedge(Side.SELL, quantity, name="complete-2")) is None


async def test_a_short_residual_is_reduced_by_buying(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "0.2")
    await fill(ledger, sell, "1")
    assert await denial(ledger, hedge(Side.BUY, "0.80000001"), TINY) is not None
    assert await denial(ledger, hedge(Side.BUY, "0.8", name="complete-2"), TINY) is None


async def test_fees_in_base_units_are_not_there_to_be_sold(ledger: World) -> None:
    await long(ledger, "1", fee="0.001")
    assert await denial(ledger, hedge(Side.SELL, "1"), TINY) is not None
    assert await denial(ledger, hedge(Side.SELL, "0.999", name="complete-2"), TINY) is None


async def test_fees_of_sales_in_base_units_are_short_too(ledger: World) -> None:
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "0")
    await fill(ledger, sell, "1", fee="0.001")
    assert await denial(ledger, hedge(Side.BUY, "1.001"), TINY) is None


async def test_fees_in_another_asset_change_no_residual(ledger: World) -> None:
    buy, _ = await begun(ledger)
    await fill(ledger, buy, "1", fee="0.5", fee_asset="USDT")
    assert await denial(ledger, hedge(Side.SELL, "1"), TINY) is None


async def test_what_executed_counts_before_its_fills_have_come(ledger: World) -> None:
    buy, _ = await begun(ledger)
    assert await claim(ledger, buy) is None
    await ledger.book(buy.first.intent, a_report(VenueStatus.FILLED, "1"))
    assert await denial(ledger, hedge(Side.SELL, "1"), TINY) is None


async def test_no_collar_holds_up_what_reduces_the_residual_and_it_holds_all_else(
    ledger: World,
) -> None:
    await long(ledger, "1")
    far = REFERENCE * Decimal("0.97")
    assert await denial(ledger, hedge(Side.SELL, "1.1", price=far)) is DenialCode.RISK_PRICE_COLLAR
    assert await denial(ledger, hedge(Side.SELL, "1", price=far, name="complete-2")) is None


async def test_an_account_that_is_not_vouched_for_stops_it(ledger: World) -> None:
    await long(ledger, "1")
    await ledger.store.set_readiness(OTHER, "main", False, Decimal(1), "test")
    assert await denial(ledger, hedge(Side.SELL, "1")) is DenialCode.RECONCILING


# --- trading states -----------------------------------------------------------------------------


async def test_it_passes_while_trading_is_reducing(ledger: World) -> None:
    await long(ledger, "1")
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    leg = hedge(Side.SELL, "1")
    assert await denial(ledger, leg) is None
    assert await claim(ledger, leg) is None


async def test_in_the_wrong_direction_it_does_not_pass_while_reducing(ledger: World) -> None:
    await long(ledger, "1")
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    # sold at the venue where nothing is held: only the residual could make it a reduction
    assert await denial(ledger, hedge(Side.SELL, "1.1")) is DenialCode.TRADING_REDUCING


async def test_the_same_order_without_a_residual_does_not_pass_while_reducing(
    ledger: World,
) -> None:
    await long(ledger, "1")
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    plain = hedge(Side.SELL, "1", compensates=None)
    assert await denial(ledger, plain) is DenialCode.TRADING_REDUCING


async def test_it_never_passes_a_halt(ledger: World) -> None:
    await long(ledger, "1")
    leg = hedge(Side.SELL, "1")
    assert await denial(ledger, leg) is None
    await ledger.store.set_trading_state("global", TradingState.HALTED, "test")
    refused = await claim(ledger, leg)
    assert refused is not None
    assert refused.code is ClaimCode.TRADING_HALTED
    more = hedge(Side.SELL, "0.1", name="complete-2")
    assert await denial(ledger, more) is DenialCode.TRADING_HALTED


async def test_a_claim_while_reducing_looks_at_the_residual_again(ledger: World) -> None:
    """The leg that was thought to be over filled after all."""
    buy, sell = await begun(ledger)
    await fill(ledger, buy, "1")
    assert await claim(ledger, sell) is None
    leg = hedge(Side.SELL, "1")
    assert await denial(ledger, leg) is None
    await book(ledger, sell, "1", status=VenueStatus.FILLED)
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    refused = await claim(ledger, leg)
    assert refused is not None
    assert refused.code is ClaimCode.TRADING_REDUCING


# --- never beyond the residual ------------------------------------------------------------------


async def test_compensations_under_way_count_against_the_residual(ledger: World) -> None:
    await long(ledger, "1")
    first = hedge(Side.SELL, "0.7")
    assert await denial(ledger, first, TINY) is None
    assert await claim(ledger, first) is None
    assert await denial(ledger, hedge(Side.SELL, "0.4", name="unwind-2"), TINY) is not None
    assert await denial(ledger, hedge(Side.SELL, "0.3", name="unwind-3"), TINY) is None


async def test_what_a_compensation_left_may_be_compensated_again(ledger: World) -> None:
    await long(ledger, "1")
    first = hedge(Side.SELL, "1")
    assert await denial(ledger, first, TINY) is None
    await fill(ledger, first, "0.6")
    assert await denial(ledger, hedge(Side.SELL, "0.5", name="unwind-2"), TINY) is not None
    assert await denial(ledger, hedge(Side.SELL, "0.4", name="unwind-3"), TINY) is None


@pytest.mark.parametrize(
    ("status", "may_go_on"), [(VenueStatus.EXPIRED, True), (VenueStatus.OPEN, False)]
)
async def test_what_a_compensation_executed_counts_once_before_its_fills_have_come(
    ledger: World, status: VenueStatus, may_go_on: bool
) -> None:
    await long(ledger, "1")
    first = hedge(Side.SELL, "1")
    assert await denial(ledger, first, TINY) is None
    assert await claim(ledger, first) is None
    await ledger.book(first.first.intent, a_report(status, "0.6"))
    assert await denial(ledger, hedge(Side.SELL, "0.41", name="unwind-2"), TINY) is not None
    code = await denial(ledger, hedge(Side.SELL, "0.4", name="unwind-3"), TINY)
    assert (code is None) is may_go_on


async def test_compensations_at_two_venues_at_once_share_one_residual(ledger: World) -> None:
    await long(ledger, "1")
    legs = [
        a_leg("arb-1", f"hold-{number}", Side.SELL, venue, quantity=Decimal("0.4"),
              compensates="arb-1")
        for number, venue in enumerate((EXCHANGE, OTHER) * 4)
    ]  # fmt: skip
    async with open_world(ledger.url, TINY) as strict:

        async def sent(leg: AcceptLeg) -> bool:
            verdict = await accept(strict, leg, locks=())
            return verdict.denied is None and await claim(strict, leg) is None

        sent_ones = await asyncio.gather(*map(sent, legs))
    # one that was not sent yet gives way to the next, so there may be fewer than fit
    assert sent_ones.count(True) in (1, 2)
    under_way = await ledger.value(
        "SELECT sum(r.quantity) FROM reservations r JOIN child_orders USING (client_order_id) "
        "WHERE compensates = 'arb-1' AND r.state = 'open'"
    )
    assert under_way == Decimal("0.4") * sent_ones.count(True)


async def test_an_ordinary_child_may_compensate_too(ledger: World) -> None:
    await long(ledger, "1")
    leg = hedge(Side.SELL, "1")
    async with open_world(ledger.url, TINY) as strict:
        await strict.store.open_parent(leg.order_id, "chain", leg.request)
        first = leg.first
        for name, expected in ((None, DenialCode.RISK_MAX_NOTIONAL), ("arb-1", None)):
            attempt = 1 if name is None else 2
            _, denied = await strict.store.reserve(
                first.intent, attempt, REFERENCE, first.parent_quantity, name
            )
            assert (denied and denied.code) == expected


async def test_an_unknown_execution_has_no_residual(ledger: World) -> None:
    leg = hedge(Side.SELL, "1", compensates="nobody")
    await ledger.store.open_parent(leg.order_id, "chain", leg.request)
    with pytest.raises(UnknownExecutionError):
        await ledger.store.reserve(leg.first.intent, 1, REFERENCE, Decimal(1), "nobody")


_QUANTITIES = st.integers(1, 6).map(lambda tenths: Decimal(tenths) / 10)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "trade", "end"]),
        st.sampled_from([True, True, True, False]),
        _QUANTITIES,
        st.sampled_from([EXCHANGE, OTHER]),
    ),
    min_size=4,
    max_size=10,
)
_OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
_serial = itertools.count()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    bought=st.sampled_from([Decimal(1), Decimal("0.1"), Decimal("1.5")]),
    sold=st.sampled_from([Decimal("0.1"), Decimal("0.9"), Decimal(1)]),
    steps=_STEPS,
)
async def test_open_compensation_never_exceeds_the_residual(
    ledger: World, bought: Decimal, sold: Decimal, steps: list[tuple[str, bool, Decimal, str]]
) -> None:
    """Whatever is asked for, filled in part and ended in between, at whatever venue."""
    name = f"arb-{next(_serial)}-{uuid.uuid4().hex[:8]}"
    await ready(ledger)
    await ledger.executions.open_execution(an_execution(name))
    pair = [
        a_leg(name, side.value, side, VENUES[side], quantity=quantity, strategy_id=name)
        for side, quantity in ((Side.BUY, bought), (Side.SELL, sold))
    ]
    assert (await accept(ledger, *pair, execution_id=name, locks=())).denied is None
    for leg, quantity in zip(pair, (bought, sold), strict=True):
        await fill(ledger, leg, str(quantity))
    model = _Model(residual=bought - sold)
    towards_zero = Side.SELL if bought > sold else Side.BUY
    async with open_world(ledger.url, TINY) as strict:
        for number, (what, is_right, quantity, venue) in enumerate(steps):
            side = towards_zero if is_right else _OPPOSITE[towards_zero]
            await _take(strict, model, name, number, what, side, quantity, venue)
            model.check()


class _Model:
    """The residual and the open compensations, worked out beside the ledger."""

    def __init__(self, residual: Decimal) -> None:
        self.residual = residual
        self.open: list[tuple[AcceptLeg, Decimal]] = []

    def may_take(self, side: Side, quantity: Decimal) -> bool:
        under_way = sum(left for leg, left in self.open if leg.request.side is side)
        return -side.sign * self.residual - under_way >= quantity

    def check(self) -> None:
        for side in Side:
            under_way = sum(left for leg, left in self.open if leg.request.side is side)
            assert under_way <= max(-side.sign * self.residual, Decimal(0))


async def _take(
    ledger: World,
    model: _Model,
    name: str,
    number: int,
    what: str,
    side: Side,
    quantity: Decimal,
    venue: str,
) -> None:
    if what == "reserve":
        leg = a_leg(name, f"try-{number}", side, venue, quantity=quantity, compensates=name,
                    strategy_id=name)  # fmt: skip
        verdict = await accept(ledger, leg, execution_id=name, locks=())
        assert (verdict.denied is None) is model.may_take(side, quantity)
        if verdict.denied is None:
            assert await claim(ledger, leg) is None
            model.open.append((leg, quantity))
        return
    if not model.open:
        return
    leg, left = model.open.pop(0)
    filled = min(quantity, left) if what == "trade" else Decimal(0)
    total = leg.request.quantity - left + filled
    is_over = what == "end" or filled == left
    await _report(ledger, leg, filled, total, number, is_over=is_over)
    model.residual += leg.request.side.sign * filled
    if not is_over:
        model.open.append((leg, left - filled))


async def _report(
    ledger: World, leg: AcceptLeg, filled: Decimal, total: Decimal, number: int, *, is_over: bool
) -> None:
    fills = [a_fill(f"{leg.order_id}-{number}", str(filled), fee=Decimal(0))] if filled else []
    status = VenueStatus.EXPIRED if is_over else VenueStatus.OPEN
    report = a_report(status, str(total), *fills, venue_order_id=leg.order_id)
    await ledger.book(leg.first.intent, report)
