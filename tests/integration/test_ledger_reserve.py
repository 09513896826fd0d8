"""Reservations: checked and booked together, once per attempt, never beyond a limit."""

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.ledger.results import (
    AttemptState,
    ChildClosedError,
    ChildMayBeLiveError,
    ClaimCode,
    TradingState,
)
from tests.integration.ledger_world import (
    LIMITS,
    REFERENCE,
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
    open_world,
)
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildType, Side
from workflows.domain.reports import VenueStatus
from workflows.domain.risk import Limits
from workflows.messages import OrderSnapshot


async def test_an_approved_child_is_ready_and_its_parent_works(ledger: World) -> None:
    intent = await ledger.reserved()
    assert await ledger.child_status(intent) == "ready"
    assert await ledger.reservation(intent) == ("open", Decimal(1))
    assert await ledger.value("SELECT status FROM parent_orders") == "working"


async def test_the_answer_names_the_epoch_of_the_ledger(ledger: World) -> None:
    await ledger.open("order-1")
    epoch, denied = await ledger.reserve(an_intent())
    assert denied is None
    assert epoch == await ledger.value("SELECT epoch FROM ledger_meta")


async def test_the_stored_intent_is_the_reserved_one(ledger: World) -> None:
    intent = await ledger.reserved()
    stored = await ledger.store.child_by_id(intent.client_order_id)
    assert stored is not None
    assert stored.intent == intent


async def test_the_same_attempt_again_is_answered_again_and_counts_once(ledger: World) -> None:
    await ledger.open("order-1")
    answers = await asyncio.gather(*(ledger.reserve(an_intent()) for _ in range(6)))
    assert len(set(answers)) == 1
    assert await ledger.value("SELECT count(*) FROM attempts") == 1
    assert await ledger.value("SELECT count(*) FROM risk_checks WHERE kind = 'child'") == 1
    assert await ledger.value("SELECT sum(quantity) FROM reservations") == 1


async def test_a_denied_attempt_stays_denied_after_its_cause_is_gone(ledger: World) -> None:
    await ledger.open("order-1")
    await ledger.store.set_trading_state("global", TradingState.HALTED, "")
    _, denied = await ledger.reserve(an_intent())
    assert denied is not None
    assert denied.code is DenialCode.TRADING_HALTED
    await ledger.store.set_trading_state("global", TradingState.ACTIVE, "")
    assert (await ledger.reserve(an_intent()))[1] == denied
    assert await ledger.child_status(an_intent()) == "denied"
    assert (await ledger.reserve(an_intent(), attempt=2))[1] is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": Decimal("2.0001")}, DenialCode.RISK_MAX_NOTIONAL),
        ({"child_type": ChildType.MARKET, "price": None, "quantity": Decimal("1.97")},
         DenialCode.RISK_MAX_NOTIONAL),
        ({"price": Decimal("51000.01")}, DenialCode.RISK_PRICE_COLLAR),
        ({"price": Decimal("24999.99")}, DenialCode.RISK_PRICE_COLLAR),
        ({"price": Decimal(51_000)}, None),
        ({"child_type": ChildType.MARKET, "price": None, "quantity": Decimal("1.96")}, None),
    ],
)  # fmt: skip
async def test_each_limit_denies_with_its_code(
    ledger: World, changes: dict[str, Any], code: DenialCode | None
) -> None:
    await ledger.open("order-1")
    _, denied = await ledger.reserve(an_intent(**changes))
    assert (denied and denied.code) == code


async def test_children_never_exceed_their_parent(ledger: World) -> None:
    await ledger.open("order-1")
    half = Decimal("0.5")
    first, second, third = (an_intent(index=index, quantity=half) for index in range(3))
    assert (await ledger.reserve(first, parent_quantity=Decimal(1)))[1] is None
    assert (await ledger.reserve(second, parent_quantity=Decimal(1)))[1] is None
    _, denied = await ledger.reserve(third, parent_quantity=Decimal(1))
    assert denied is not None
    assert denied.code is DenialCode.RISK_OVERSHOOT


async def test_what_a_child_did_not_use_is_free_for_the_next(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.EXPIRED, "0.4", a_fill("t1", "0.4")))
    for index, quantity, expected in ((1, "0.61", DenialCode.RISK_OVERSHOOT), (2, "0.6", None)):
        child = an_intent(index=index, quantity=Decimal(quantity))
        _, denied = await ledger.reserve(child, parent_quantity=Decimal(1))
        assert (denied and denied.code) == expected


async def test_a_quantity_whose_fills_are_missing_is_not_tradable_twice(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.EXPIRED, "0.4"))
    assert await ledger.reservation(intent) == ("open", Decimal("0.4"))
    child = an_intent(index=1, quantity=Decimal("0.61"))
    _, denied = await ledger.reserve(child, parent_quantity=Decimal(1))
    assert denied is not None
    assert denied.code is DenialCode.RISK_OVERSHOOT


async def test_unknown_orders_count_against_the_position_limit(database_url: str) -> None:
    limits = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(75_000))
    async with open_world(database_url, limits) as ledger:
        for number in (1, 2):
            request = an_order(quantity=Decimal(1))
            await ledger.store.open_parent(f"order-{number}", "chain", request)
            await ledger.store.accept_parent(f"order-{number}", request, REFERENCE)
        await ledger.reserve(an_intent("order-1"))
        await ledger.store.claim(an_intent("order-1").client_order_id, 1, SIGNED_AT_MS)
        await ledger.store.record_unknown(an_intent("order-1").client_order_id, 1, "timeout")
        _, denied = await ledger.reserve(an_intent("order-2"))
        assert denied is not None
        assert denied.code is DenialCode.RISK_MAX_POSITION


async def test_fifty_reservations_at_once_never_exceed_the_position_limit(
    database_url: str,
) -> None:
    limits = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(500_000))
    async with open_world(database_url, limits) as ledger:
        orders = [f"order-{number}" for number in range(50)]
        for order in orders:
            await ledger.open(order, quantity=Decimal(1))
        answers = await asyncio.gather(*(ledger.reserve(an_intent(order)) for order in orders))
        assert [denied for _, denied in answers].count(None) == 10
        held = "SELECT sum(quantity) FROM reservations WHERE state = 'open'"
        assert await ledger.value(held) * REFERENCE == limits.max_position_value


async def test_reservations_and_fills_at_once_never_exceed_the_position_limit(
    database_url: str,
) -> None:
    limits = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(250_000))
    async with open_world(database_url, limits) as ledger:
        orders = [f"order-{number}" for number in range(20)]
        for order in orders:
            await ledger.open(order, quantity=Decimal(1))

        async def trade(order: str) -> None:
            intent = an_intent(order)
            if (await ledger.reserve(intent))[1] is None:
                fill = a_fill(order, "1", fee=Decimal(0))
                report = a_report(VenueStatus.FILLED, "1", fill, venue_order_id=order)
                await ledger.ack(intent, report)

        await asyncio.gather(*(trade(order) for order in orders))
        assert await ledger.position() * REFERENCE == limits.max_position_value


async def test_a_higher_attempt_closes_the_one_before(ledger: World) -> None:
    intent = await ledger.reserved()
    assert (await ledger.reserve(intent, attempt=2))[1] is None
    refused = await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS)
    assert refused is not None
    assert await ledger.store.claim(intent.client_order_id, 2, SIGNED_AT_MS) is None
    states = await ledger.rows("SELECT state FROM attempts ORDER BY attempt")
    assert [row["state"] for row in states] == [AttemptState.CLOSED, AttemptState.SENDING]
    assert await ledger.reservation(intent) == ("open", Decimal(1))


async def test_a_later_attempt_may_be_priced_anew(ledger: World) -> None:
    intent = await ledger.reserved()
    await ledger.store.prove_absent(intent.client_order_id, 1)
    cheaper = an_intent(price=Decimal(49_000), quantity=Decimal("0.5"))
    assert (await ledger.reserve(cheaper, attempt=2))[1] is None
    stored = await ledger.store.child_by_id(intent.client_order_id)
    assert stored is not None
    assert stored.intent == cheaper
    assert await ledger.reservation(intent) == ("open", Decimal("0.5"))


async def test_a_denied_later_attempt_releases_the_reservation(ledger: World) -> None:
    intent = await ledger.reserved()
    await ledger.store.prove_absent(intent.client_order_id, 1)
    _, denied = await ledger.reserve(an_intent(price=Decimal(52_000)), attempt=2)
    assert denied is not None
    assert (await ledger.reservation(intent))[0] == "released"


async def test_a_child_that_reached_the_venue_is_never_reserved_again(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    with pytest.raises(ChildMayBeLiveError):
        await ledger.reserve(intent, attempt=2)


@pytest.mark.parametrize("state", [AttemptState.SENDING, AttemptState.UNKNOWN])
async def test_no_attempt_follows_one_that_may_be_live(ledger: World, state: AttemptState) -> None:
    intent = await ledger.sent()
    if state is AttemptState.UNKNOWN:
        await ledger.store.record_unknown(intent.client_order_id, 1, "timeout")
    with pytest.raises(ChildMayBeLiveError) as refused:
        await ledger.reserve(intent, attempt=2)
    assert refused.value.attempt == 1
    assert await ledger.store.claim(intent.client_order_id, 2, SIGNED_AT_MS) is not None
    await ledger.store.prove_absent(intent.client_order_id, 1)
    assert (await ledger.reserve(intent, attempt=2))[1] is None


async def test_a_stored_approval_is_not_given_for_another_order(ledger: World) -> None:
    await ledger.reserved()
    with pytest.raises(ChildMayBeLiveError):
        await ledger.reserve(an_intent(quantity=Decimal("0.25")))


async def test_a_child_known_at_the_venue_cannot_be_claimed(ledger: World) -> None:
    """The order of an attempt that was thought absent shows itself after the next reservation."""
    intent = await ledger.sent()
    await ledger.store.prove_absent(intent.client_order_id, 1)
    await ledger.reserve(intent, attempt=2)
    await ledger.book(intent, a_report(VenueStatus.OPEN))
    refused = await ledger.store.claim(intent.client_order_id, 2, SIGNED_AT_MS)
    assert refused is not None
    assert refused.code is ClaimCode.ATTEMPT_CLOSED


async def test_the_end_of_an_order_releases_a_child_that_nobody_remembers(ledger: World) -> None:
    """A worker died after the reservation; its workflow ended without ever hearing of it."""
    unsent = await ledger.reserved("order-1")
    sent = await ledger.sent("order-2")
    for order_id in ("order-1", "order-2"):
        end = OrderSnapshot(order_id=order_id, status=OrderStatus.EXPIRED)
        await ledger.store.save_order(end, OrderStatus.EXPIRED)
    assert (await ledger.reservation(unsent))[0] == "released"
    assert await ledger.child_status(unsent) == "not_sent"
    assert (await ledger.reservation(sent))[0] == "open"
    assert await ledger.child_status(sent) == "sending"


async def test_an_order_that_ended_in_the_ledger_reserves_nothing_more(ledger: World) -> None:
    """The workflow task that stored the end was lost, and done again with another conclusion."""
    unsent = await ledger.reserved()
    end = OrderSnapshot(order_id="order-1", status=OrderStatus.EXPIRED)
    await ledger.store.save_order(end, OrderStatus.EXPIRED)
    for intent, attempt in ((unsent, 2), (an_intent("order-1", 1), 1)):
        _, denied = await ledger.reserve(intent, attempt=attempt)
        assert denied is not None
        assert denied.code is DenialCode.ALREADY_TERMINAL
        assert (await ledger.reservation(unsent))[0] == "released"


async def test_a_child_that_was_given_up_is_never_reserved_again(ledger: World) -> None:
    intent = await ledger.reserved()
    await ledger.store.give_up(intent.client_order_id, "cancelled")
    with pytest.raises(ChildClosedError):
        await ledger.reserve(intent, attempt=2)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    quantities=st.lists(
        st.decimals(min_value="0.00000001", max_value="1.9", places=8), min_size=1, max_size=4
    ),
    side=st.sampled_from(Side),
)
async def test_reservations_sum_to_what_was_approved_to_the_last_digit(
    database_url: str, quantities: list[Decimal], side: Side
) -> None:
    strategy = order = uuid.uuid4().hex  # examples share the database
    async with open_world(database_url, LIMITS) as ledger:
        await ledger.open(order, strategy_id=strategy, side=side.value)
        approved = Decimal(0)
        for index, quantity in enumerate(quantities):
            changes = {"strategy_id": strategy, "side": side, "quantity": quantity}
            _, denied = await ledger.reserve(an_intent(order, index, **changes))
            approved += quantity if denied is None else 0
        held = "SELECT coalesce(sum(quantity), 0) FROM reservations WHERE strategy_id = $1"
        assert await ledger.value(held, strategy) == approved
