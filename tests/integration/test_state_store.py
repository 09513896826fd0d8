"""The kill switches in the ledger: set once and for all claims, audited, and what a sweep reads."""

import asyncio
import json
from typing import Any

import pytest

from activities.ledger.results import ClaimCode, TradingState
from activities.ledger.state_store import Setting, StateStore
from tests.integration.ledger_world import (
    SIGNED_AT_MS,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_order,
)
from tests.integration.test_ledger_watches import a_watch
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus
from workflows.domain.scopes import Scope, parse_scope

HALT = Setting(state=TradingState.HALTED, reason="wrong prices", by="cli:ann")
REDUCE = Setting(state=TradingState.REDUCING, reason="loss", by="engine", code="LOSS_LIMIT")
GO = Setting(state=TradingState.ACTIVE, reason="checked", by="http")
AUDIT = "SELECT who, action, object, before, after, reason FROM audit ORDER BY id"


def scope(text: str = "global") -> Scope:
    parsed = parse_scope(text)
    assert isinstance(parsed, Scope)
    return parsed


async def claim(ledger: World, intent: ChildIntent) -> ClaimCode | None:
    refused = await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS)
    return refused.code if refused else None


async def resting(ledger: World, name: str, venue_order_id: str, **changes: Any) -> ChildIntent:
    intent = await ledger.sent(name, **changes)
    await ledger.ack(intent, a_report(VenueStatus.OPEN, venue_order_id=venue_order_id))
    return intent


async def test_a_change_is_told_in_the_audit_trail_with_what_was_before(ledger: World) -> None:
    store = StateStore(ledger.engine)
    await store.set(scope(), HALT)
    await store.set(scope(), GO)
    rows = await ledger.rows(AUDIT)
    told = [{**row, "before": _json(row["before"]), "after": _json(row["after"])} for row in rows]
    halted = {"state": "halted", "code": None, "reason": "wrong prices"}
    active = {"state": "active", "code": None, "reason": "checked"}
    common = {"action": "trading_state", "object": "global"}
    assert told == [
        common | {"who": "cli:ann", "before": None, "after": halted, "reason": "wrong prices"},
        common | {"who": "http", "before": halted, "after": active, "reason": "checked"},
    ]


def _json(text: str | None) -> object:
    return None if text is None else json.loads(text)


async def test_every_switch_that_was_set_is_shown_with_who_set_it(ledger: World) -> None:
    store = StateStore(ledger.engine)
    await store.set(scope("venue:binance"), HALT)
    await store.set(scope("strategy:s1"), REDUCE)
    shown = [
        (each.scope, each.state, each.code, each.reason, each.updated_by)
        for each in await ledger.views.trading_states()
    ]
    assert shown == [
        ("strategy:s1", "reducing", "LOSS_LIMIT", "loss", "engine"),
        ("venue:binance", "halted", None, "wrong prices", "cli:ann"),
    ]
    assert await store.states() == await ledger.views.trading_states()


async def test_a_rule_of_the_engine_never_loosens_a_halt(ledger: World) -> None:
    store = StateStore(ledger.engine)
    await store.set(scope(), HALT)
    why = {"reason": "a rule", "only_tighter": True}
    await ledger.store.set_trading_state("global", TradingState.REDUCING, **why)
    assert await store.set(scope(), REDUCE, only_tighter=True) is TradingState.HALTED
    (shown,) = await store.states()
    assert (shown.state, shown.updated_by) == ("halted", "cli:ann")
    assert len(await ledger.rows(AUDIT)) == 1  # nothing was decided
    await ledger.store.set_trading_state("venue:binance", TradingState.REDUCING, **why)
    assert [each.state for each in await store.states()] == ["halted", "reducing"]


@pytest.mark.parametrize(
    "text", ["global", "venue:binance", f"symbol:binance:{SYMBOL}", "strategy:s1"]
)
async def test_once_halted_is_answered_no_claim_of_the_scope_succeeds(
    ledger: World, text: str
) -> None:
    intent, store = await ledger.reserved(), StateStore(ledger.engine)
    await store.set(scope(text), HALT)
    assert await claim(ledger, intent) is ClaimCode.TRADING_HALTED
    await store.set(scope(text), GO)
    assert await claim(ledger, intent) is None


async def test_a_halt_waits_out_a_worker_that_froze_in_its_claim(ledger: World) -> None:
    store = StateStore(ledger.engine)
    async with ledger.engine.begin() as frozen:
        await frozen.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(31441)")
        halting = asyncio.create_task(store.set(scope(), HALT))
        await asyncio.sleep(2.5)  # longer than other statements wait for a lock
        assert not halting.done()
    await halting
    assert [each.state for each in await store.states()] == ["halted"]


async def test_the_facts_of_a_sweep_are_what_rests_and_what_was_never_answered(
    ledger: World,
) -> None:
    store = StateStore(ledger.engine)
    rests = await resting(ledger, "rests", "v1")
    sending = await ledger.sent("sending")
    unknown = await ledger.sent("unknown")
    await ledger.store.record_unknown(unknown.client_order_id, 1, "no answer")
    await ledger.reserved("never claimed")
    filled = await ledger.sent("filled")
    await ledger.ack(
        filled, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1"), venue_order_id="v2")
    )
    rejected = await ledger.sent("rejected")
    await ledger.store.record_rejection(rejected.client_order_id, 1, "-2010", "no funds")
    facts = await store.facts(scope())
    assert [(each.intent, each.venue_order_id) for each in facts.open] == [(rests, "v1")]
    assert {each.child.intent: each.signed_at_ms for each in facts.unanswered} == {
        sending: SIGNED_AT_MS,
        unknown: SIGNED_AT_MS,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("global", 1),
        ("venue:binance", 1),
        ("venue:okx", 0),
        ("symbol:binance:BTC/USDT", 1),
        ("symbol:binance:ETH/USDT", 0),
        ("symbol:okx:BTC/USDT", 0),
        ("strategy:s1", 1),
        ("strategy:s2", 0),
    ],
)
async def test_a_scope_covers_its_own_and_nothing_else(
    ledger: World, text: str, found: int
) -> None:
    store = StateStore(ledger.engine)
    await resting(ledger, "rests", "v1")
    await ledger.sent("sending")
    await ledger.hold("2")
    facts = await store.facts(scope(text))
    assert (len(facts.open), len(facts.unanswered)) == (found, found)
    assert len(await store.holdings(scope(text))) == found


async def test_orders_that_guard_a_position_in_vain_are_alarmed_once(ledger: World) -> None:
    store = StateStore(ledger.engine)
    guard = an_order(order_type="stop_loss", stop_price="49000", side="sell")
    for order_id in ("order-1", "order-2"):
        await ledger.store.open_parent(order_id, "chain", guard)
    await ledger.watches.arm(a_watch("order-1/0"))  # the other one rests at its venue
    await ledger.open("order-3")
    assert await store.alarm_unprotected(scope("strategy:s9"), at_venue_too=True) == []
    # what rests at the venue goes on guarding while it is left there
    assert await store.alarm_unprotected(scope(), at_venue_too=False) == ["order-1"]
    for _ in range(2):
        assert await store.alarm_unprotected(scope(), at_venue_too=True) == ["order-1", "order-2"]
    told = [(each.code, each.object) for each in await ledger.views.alarms()]
    assert sorted(told) == [("UNPROTECTED", "order-1"), ("UNPROTECTED", "order-2")]
