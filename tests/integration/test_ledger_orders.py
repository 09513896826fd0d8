"""Parent orders: one id, one order; one answer; one end."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from activities.ledger.results import ParentKind, TradingState
from activities.ledger_activities import LedgerActivities
from activities.markets import Markets
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    REFERENCE,
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
)
from tests.workflows.fakes import TERMS
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderSnapshot
from workflows.ports import AcceptOrder, Reserve


async def test_the_same_run_chain_may_open_its_order_again(ledger: World) -> None:
    for _ in range(2):
        opened = await ledger.store.open_parent("o", "chain", an_order())
        assert opened.kind is ParentKind.NEW
    assert await ledger.value("SELECT count(*) FROM parent_orders") == 1


async def test_another_body_under_a_known_id_is_a_conflict(ledger: World) -> None:
    await ledger.store.open_parent("o", "chain", an_order())
    other = await ledger.store.open_parent("o", "other", an_order(quantity=Decimal(6)))
    assert other.kind is ParentKind.CONFLICT
    assert other.stored is None


async def test_an_id_started_again_after_its_end_answers_the_stored_order(ledger: World) -> None:
    await ledger.open("o")
    end = OrderSnapshot(order_id="o", status=OrderStatus.FILLED, filled_quantity=Decimal(5))
    await ledger.store.save_order(end, OrderStatus.FILLED)
    again = await ledger.store.open_parent("o", "other", an_order())
    assert again.kind is ParentKind.FINISHED
    assert again.stored is not None
    assert again.stored.status is OrderStatus.FILLED
    assert again.stored.filled_quantity == 5


async def test_an_order_whose_workflow_was_lost_is_a_conflict(ledger: World) -> None:
    await ledger.open("o")
    again = await ledger.store.open_parent("o", "other", an_order())
    assert again.kind is ParentKind.CONFLICT
    assert "status=accepted" in again.detail


async def test_of_many_chains_that_race_for_an_id_one_wins(ledger: World) -> None:
    chains = [f"chain-{number}" for number in range(10)]
    opened = await asyncio.gather(
        *(ledger.store.open_parent("o", chain, an_order()) for chain in chains)
    )
    assert [each.kind for each in opened].count(ParentKind.NEW) == 1


async def test_a_first_child_is_reserved_with_the_acceptance_and_once(ledger: World) -> None:
    request, child = an_order(quantity=Decimal(1)), an_intent("o")
    await ledger.store.open_parent("o", "chain", request)
    for _ in range(2):
        denied, reserved = await ledger.store.accept_with_child(
            "o", request, REFERENCE, child, Decimal(1)
        )
        assert denied is None
        assert reserved is not None
        assert reserved[1] is None
    assert await ledger.reservation(child) == ("open", 1)
    assert await ledger.store.claim(child.client_order_id, 1, SIGNED_AT_MS) is None


async def test_an_order_that_is_denied_reserves_nothing(ledger: World) -> None:
    request = an_order(price=Decimal(60_000))
    await ledger.store.open_parent("o", "chain", request)
    denied, reserved = await ledger.store.accept_with_child(
        "o", request, REFERENCE, an_intent("o"), Decimal(1)
    )
    assert (denied and denied.code, reserved) == (DenialCode.RISK_PRICE_COLLAR, None)
    assert await ledger.value("SELECT count(*) FROM child_orders") == 0


async def test_a_first_child_that_is_known_otherwise_is_told_to_be_resolved(ledger: World) -> None:
    request, child = an_order(quantity=Decimal(1)), an_intent("o")
    await ledger.store.open_parent("o", "chain", request)
    await ledger.store.accept_with_child("o", request, REFERENCE, child, Decimal(1))
    activities = LedgerActivities(ledger.store, TERMS, Markets({}), [(EXCHANGE, ACCOUNT)])
    repriced = Reserve(
        intent=replace(child, price=REFERENCE + 1),
        attempt=1,
        reference_price=REFERENCE,
        parent_quantity=Decimal(1),
    )
    verdict = await activities.accept_order(
        AcceptOrder(order_id="o", request=request, reference_price=REFERENCE, first=repriced)
    )
    assert verdict.denied is None
    assert verdict.reserved is not None
    assert verdict.reserved.resolve_attempt == 1


async def test_an_accepted_order_is_accepted_again_whatever_changed(ledger: World) -> None:
    request = await ledger.open("o")
    await ledger.store.set_trading_state("global", TradingState.HALTED, "test")
    assert await ledger.store.accept_parent("o", request, REFERENCE) is None
    assert await ledger.value("SELECT count(*) FROM risk_checks") == 1


async def test_a_denied_order_gets_the_same_denial_again(ledger: World) -> None:
    request = an_order(price=Decimal(60_000))
    await ledger.store.open_parent("o", "chain", request)
    first = await ledger.store.accept_parent("o", request, REFERENCE)
    assert first is not None
    assert (first.code, first.field) == (DenialCode.RISK_PRICE_COLLAR, "price")
    assert await ledger.store.accept_parent("o", request, Decimal(60_000)) == first
    again = await ledger.store.open_parent("o", "other", request)
    assert again.stored is not None
    assert again.stored.code is DenialCode.RISK_PRICE_COLLAR


@pytest.mark.parametrize(
    "scope", ["global", "venue:binance", "symbol:binance:BTC/USDT", "strategy:s1"]
)
async def test_a_halt_of_any_scope_denies_an_order(ledger: World, scope: str) -> None:
    await ledger.store.set_trading_state(scope, TradingState.HALTED, "fat finger")
    await ledger.store.open_parent("o", "chain", an_order())
    denied = await ledger.store.accept_parent("o", an_order(), REFERENCE)
    assert denied is not None
    assert denied.code is DenialCode.TRADING_HALTED
    assert f"scope={scope}" in denied.detail


async def test_a_halt_of_another_scope_denies_nothing(ledger: World) -> None:
    await ledger.store.set_trading_state("strategy:s2", TradingState.HALTED, "")
    await ledger.store.set_trading_state("venue:okx", TradingState.REDUCING, "")
    await ledger.store.open_parent("o", "chain", an_order())
    assert await ledger.store.accept_parent("o", an_order(), REFERENCE) is None


async def test_reducing_lets_pass_what_reduces_and_nothing_else(ledger: World) -> None:
    intent = await ledger.sent("held")
    await ledger.ack(intent, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1", fee=Decimal(0))))
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "")
    for order_id, side, quantity, expected in (
        ("more", "buy", 1, DenialCode.TRADING_REDUCING),
        ("flip", "sell", 2, DenialCode.TRADING_REDUCING),
        ("less", "sell", 1, None),
    ):
        request = an_order(side=side, quantity=Decimal(quantity))
        await ledger.store.open_parent(order_id, "chain", request)
        denied = await ledger.store.accept_parent(order_id, request, REFERENCE)
        assert (denied and denied.code) == expected, order_id


@pytest.mark.parametrize("how", ["never ready", "reconciling", "expired"])
async def test_an_account_that_is_not_ready_takes_no_order(ledger: World, how: str) -> None:
    account = "other" if how == "never ready" else ACCOUNT
    if how == "reconciling":
        await ledger.store.set_readiness(EXCHANGE, ACCOUNT, False, Decimal(30), "stream lost")
    if how == "expired":
        await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(0), "")
    request = an_order(account=account)
    await ledger.store.open_parent("o", "chain", request)
    denied = await ledger.store.accept_parent("o", request, REFERENCE)
    assert denied is not None
    assert denied.code is DenialCode.RECONCILING


@pytest.mark.parametrize(
    ("order_type", "price", "quantity", "code"),
    [
        ("market", None, "2", DenialCode.RISK_MAX_NOTIONAL),
        ("limit", Decimal(50_000), "2.1", DenialCode.RISK_MAX_NOTIONAL),
        ("twap", None, "2.1", None),
        ("twap", None, "10.1", DenialCode.RISK_MAX_POSITION),
    ],
)
async def test_a_parent_is_checked_for_value_only_where_it_is_sent_whole(
    ledger: World, order_type: str, price: Decimal | None, quantity: str, code: DenialCode | None
) -> None:
    request = an_order(order_type=order_type, price=price, quantity=Decimal(quantity))
    await ledger.store.open_parent("o", "chain", request)
    denied = await ledger.store.accept_parent("o", request, REFERENCE)
    assert (denied and denied.code) == code


async def test_a_terminal_order_never_changes_again(ledger: World) -> None:
    await ledger.open("o")
    end = OrderSnapshot(order_id="o", status=OrderStatus.CANCELLED, reason="user_request")
    told = []
    for snapshot in (
        end,
        end,
        OrderSnapshot(order_id="o", status=OrderStatus.WORKING),
        OrderSnapshot(order_id="o", status=OrderStatus.FILLED, reason="later"),
        OrderSnapshot(order_id="o", status=OrderStatus.CANCELLED, reason="later"),
    ):
        stored = await ledger.store.save_order(snapshot, snapshot.status)
        told.append(None if stored is None else (stored.status, stored.reason))
    shown = await ledger.views.order("o")
    assert shown is not None
    first = (OrderStatus.CANCELLED, "user_request")
    assert (shown.status, shown.reason) == first
    assert told == [None, first, first, first, first]


async def test_a_denial_keeps_the_snapshot_that_its_workflow_ends_with(ledger: World) -> None:
    request = an_order(price=Decimal(60_000))
    await ledger.store.open_parent("o", "chain", request)
    denied = await ledger.store.accept_parent("o", request, REFERENCE)
    assert denied is not None
    end = OrderSnapshot(
        order_id="o", status=OrderStatus.DENIED, code=denied.code, field="price", reason="told"
    )
    await ledger.store.save_order(end, OrderStatus.DENIED)
    shown = await ledger.views.order("o")
    assert shown is not None
    assert (shown.code, shown.reason) == (denied.code, "told")


async def test_saving_an_order_that_is_not_there_alarms(ledger: World) -> None:
    snapshot = OrderSnapshot(order_id="ghost", status=OrderStatus.FILLED)
    await ledger.store.save_order(snapshot, OrderStatus.FILLED)
    assert await ledger.alarms() == ["UNKNOWN_ORDER"]
