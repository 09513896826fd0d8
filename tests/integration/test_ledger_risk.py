"""The controls in the ledger: limits that people set, sums, counters, funds, overrides, losses."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.loss_store import LossStore
from activities.ledger.risk_store import RiskStore
from activities.ledger.view_risk import RiskViews
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    LIMITS,
    REFERENCE,
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
)
from workflows.domain.denials import Denied
from workflows.domain.limits import account_scope
from workflows.domain.orders import ChildIntent, ChildType, Side
from workflows.domain.reports import VenueStatus
from workflows.names import made_order_id

MINE = account_scope(EXCHANGE, ACCOUNT)


async def set_limit(ledger: World, scope: str, name: str, value: str | None) -> None:
    amount = None if value is None else Decimal(value)
    assert await RiskStore(ledger.engine).set_limit(scope, name, amount, "ann", "test") is None


async def accepted(ledger: World, order_id: str, **changes: Any) -> str | None:
    """The code that denies a new order of 0.1 BTC; None when it is accepted."""
    request = an_order(**{"quantity": Decimal("0.1"), "order_type": "market", **changes})
    await ledger.store.open_parent(order_id, "chain", request)
    denied = await ledger.store.accept_parent(order_id, request, REFERENCE)
    return None if denied is None else denied.code.value


async def child(ledger: World, order_id: str, **changes: Any) -> str | None:
    """The code that denies a first child of an order that was accepted."""
    _, denied = await ledger.reserve(an_intent(order_id, **changes))
    return None if denied is None else denied.code.value


async def sent(ledger: World, order_id: str, **changes: Any) -> ChildIntent:
    """A child at the venue, of an order of its own."""
    intent = an_intent(order_id, **changes)
    assert await accepted(ledger, order_id, side=intent.side.value) is None
    assert (await ledger.reserve(intent))[1] is None
    assert await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is None
    return intent


# --- limits that people set ---------------------------------------------------------------------


async def test_a_limit_binds_at_once_whom_it_is_for_and_is_audited(ledger: World) -> None:
    await ledger.open("mine")
    await ledger.open("theirs", strategy_id="s2")
    await set_limit(ledger, "strategy:s1", "max_order_value", "49999")
    await set_limit(ledger, "strategy:s1", "max_order_value", "49998")
    assert await child(ledger, "mine") == "RISK_MAX_NOTIONAL"
    assert await child(ledger, "theirs", strategy_id="s2") is None
    await set_limit(ledger, "strategy:s1", "max_order_value", None)
    assert (await ledger.reserve(an_intent("mine"), attempt=2))[1] is None
    told = await ledger.rows("SELECT who, object, before, after FROM audit ORDER BY id")
    assert {(row["who"], row["object"]) for row in told} == {("ann", "strategy:s1 max_order_value")}
    assert [(row["before"], row["after"]) for row in told] == [
        (None, '{"value": "49999"}'),
        ('{"value": "49999"}', '{"value": "49998"}'),
        ('{"value": "49998"}', None),
    ]


async def test_what_contradicts_is_refused_and_nothing_is_stored(ledger: World) -> None:
    await set_limit(ledger, "global", "max_order_value", "1000")
    store = RiskStore(ledger.engine)
    codes = []
    for scope, name, value in (
        ("strategy:s1", "max_order_value", Decimal(1_001)),
        ("strategy:s1", "max_order_value", Decimal("NaN")),
        ("strategy:s1", "max_orders", Decimal(1)),
        ("strategy:s1", "max_order_value", None),
    ):
        denied = await store.set_limit(scope, name, value, "ann", "")
        codes.append(denied and denied.code.value)
    assert codes == ["INCONSISTENT_LIMITS", "INVALID_DECIMAL", "UNKNOWN_LIMIT", "NOT_FOUND"]
    assert len(await store.limits()) == 1
    assert await ledger.value("SELECT count(*) FROM audit") == 1


async def test_what_binds_is_shown_with_where_it_comes_from(ledger: World) -> None:
    await set_limit(ledger, "global", "max_order_value", "90000")
    await set_limit(ledger, "strategy:s1", "max_order_value", "1000")
    views = RiskViews(ledger.engine, LIMITS)
    shown = await views.effective(strategy_id="s1", exchange=EXCHANGE, symbol="BTC/USDT")
    found = {each.name: (each.value, each.source) for each in shown}
    assert found["max_order_value"] == (1_000, "strategy:s1")
    assert found["max_position_value"] == (500_000, "default")
    assert found["loss_limit"] == (None, "default")
    assert [each.unit for each in await views.limits()] == ["quote value"] * 2


# --- overrides ----------------------------------------------------------------------------------


async def test_two_people_let_a_control_pass_until_one_ends_it(ledger: World) -> None:
    store, views = RiskStore(ledger.engine), RiskViews(ledger.engine, LIMITS)
    big = {"quantity": Decimal("2.5")}
    await ledger.open("order-1")
    number = await store.request_override(MINE, "RISK_MAX_NOTIONAL", "hedge", 15, "ann")
    assert isinstance(number, int)
    assert await child(ledger, "order-1", index=0, **big) == "RISK_MAX_NOTIONAL"
    for same_person in ("ann", " Ann"):
        alone = await store.approve_override(number, same_person)
        assert alone is not None
        assert alone.code == "NEEDS_ANOTHER"
    assert await store.approve_override(number, "bob") is None
    assert await child(ledger, "order-1", index=1, **big) is None
    told = "SELECT detail FROM risk_checks WHERE kind = 'child' AND verdict = 'approved'"
    assert await ledger.value(told) == "overrides=RISK_MAX_NOTIONAL"
    assert await store.revoke_override(number, "cat") is None
    assert await child(ledger, "order-1", index=2, **big) == "RISK_MAX_NOTIONAL"
    assert [each.status for each in await views.overrides()] == ["revoked"]
    ended = await store.approve_override(number, "bob")
    assert ended is not None
    assert ended.code == "ALREADY_TERMINAL"


@pytest.mark.parametrize(
    ("scope", "code", "reason", "minutes", "expected"),
    [
        ("global", "RISK_OVERSHOOT", "why", 15, "UNKNOWN_ENUM"),
        ("global", "INSUFFICIENT_FUNDS", "why", 15, "UNKNOWN_ENUM"),
        ("global", "TRADING_HALTED", "why", 15, "UNKNOWN_ENUM"),
        ("global", "PRECISION", "why", 15, "UNKNOWN_ENUM"),
        ("venue:binance", "RISK_MAX_QTY", "why", 15, "UNKNOWN_ENUM"),
        ("global", "RISK_MAX_QTY", "", 15, "MISSING_FIELD"),
        ("global", "RISK_MAX_QTY", "why", 16, "OUT_OF_RANGE"),
        ("global", "RISK_MAX_QTY", "why", 0, "OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_overridden_is_not_asked_of_anybody(
    scope: str, code: str, reason: str, minutes: int, expected: str
) -> None:
    store = RiskStore(None)  # type: ignore[arg-type] # refused before the database is asked
    denied = await store.request_override(scope, code, reason, minutes, "ann")
    assert isinstance(denied, Denied)
    assert denied.code == expected


# --- the same order again -----------------------------------------------------------------------


async def test_the_same_order_again_is_denied_unless_somebody_means_it(ledger: World) -> None:
    answers = [
        await accepted(ledger, made_order_id("1")),
        await accepted(ledger, made_order_id("2")),
        await accepted(ledger, made_order_id("3"), allow_similar=True),
        await accepted(ledger, "an-id-of-my-own"),
        await accepted(ledger, made_order_id("4"), quantity=Decimal("0.2")),
        await accepted(ledger, made_order_id("5"), order_type="limit", price=REFERENCE),
        await accepted(ledger, made_order_id("6"), strategy_id="s2"),
    ]
    assert answers == [None, "RISK_DUPLICATE", None, None, None, None, None]
    await ledger.rows("UPDATE parent_orders SET created_at = created_at - interval '2 seconds'")
    assert await accepted(ledger, made_order_id("7")) is None
    await set_limit(ledger, "global", "duplicate_window_s", "0")
    assert await accepted(ledger, made_order_id("8")) is None


async def test_of_the_same_order_at_once_exactly_one_passes(ledger: World) -> None:
    names = [made_order_id(str(number)) for number in range(8)]
    answers = await asyncio.gather(*(accepted(ledger, name) for name in names))
    assert sorted(map(str, answers)) == ["None", *["RISK_DUPLICATE"] * 7]


# --- counters -----------------------------------------------------------------------------------


async def test_a_strategy_with_too_many_orders_stops_until_it_is_rearmed(ledger: World) -> None:
    await set_limit(ledger, "strategy:s1", "max_parents_per_day", "3")
    assert await ledger.hold("1") is None  # the first of three
    names = [f"order-{number}" for number in range(6)]
    answers = await asyncio.gather(*(accepted(ledger, name) for name in names))
    assert sorted(map(str, answers)) == ["None", "None", *["STRATEGY_DISABLED"] * 4]
    # neither a new day nor a looser limit arms it again, and what reduces passes
    await ledger.rows("UPDATE strategy_counters SET day = day - 1")
    await set_limit(ledger, "strategy:s1", "max_parents_per_day", None)
    assert await accepted(ledger, "tomorrow") == "STRATEGY_DISABLED"
    assert await accepted(ledger, "exit", side="sell") is None
    assert await accepted(ledger, "another", strategy_id="s2") is None
    assert await ledger.alarms() == ["STRATEGY_DISABLED"]
    assert await RiskStore(ledger.engine).rearm("s1", "ann", "looked at it") is None
    assert await accepted(ledger, "rearmed") is None
    shown = await RiskViews(ledger.engine, LIMITS).strategies()
    assert [(each.strategy_id, each.disabled) for each in shown] == [("s1", None), ("s2", None)]


async def test_rejections_in_a_row_disable_a_strategy_and_an_ack_forgets_them(
    ledger: World,
) -> None:
    await set_limit(ledger, "global", "max_rejects_in_row", "2")

    async def rejected(name: str, *, counts: bool = True) -> None:
        intent = await sent(ledger, name)
        for _ in range(2):  # told twice, counted once
            await ledger.store.record_rejection(
                intent.client_order_id, 1, "-2010", "no", counts=counts
            )

    await rejected("one")
    await ledger.ack(await sent(ledger, "good"), a_report(VenueStatus.OPEN))
    await rejected("two")
    await rejected("post-only", counts=False)
    assert await ledger.alarms() == []
    await rejected("three")
    assert await ledger.alarms() == ["STRATEGY_DISABLED"]
    why = await ledger.value("SELECT disabled FROM strategy_counters")
    assert why == "rejects_in_row=2 max=2 last=-2010"
    assert await accepted(ledger, "next") == "STRATEGY_DISABLED"
    assert (await ledger.reserve(an_intent("good", index=1)))[1] is not None


async def test_messages_are_counted_once_each_and_only_new_orders_wait(ledger: World) -> None:
    await set_limit(ledger, MINE, "max_messages_per_s", "3")
    await ledger.open("order-1")
    for index in range(4):  # the last is denied, and counts
        quantity = Decimal(1) if index < 3 else Decimal(3)
        for _ in range(2):
            await ledger.reserve(an_intent("order-1", index, quantity=quantity))
    counted = "SELECT current + previous FROM message_windows"
    assert await ledger.value(counted) == 4
    await ledger.rows(
        "UPDATE message_windows SET current = 4, second = extract(epoch FROM clock_timestamp())"
    )
    assert await accepted(ledger, "new") == "RATE_LIMITED"
    assert await child(ledger, "order-1", index=5) is None
    await ledger.rows("UPDATE message_windows SET second = second - 2")
    assert await accepted(ledger, "later") is None


async def test_an_order_has_so_many_children_at_most(ledger: World) -> None:
    await set_limit(ledger, "global", "max_children", "2")
    await ledger.open("order-1")
    tenth = Decimal("0.1")
    answers = [await child(ledger, "order-1", index=each, quantity=tenth) for each in range(3)]
    assert answers == [None, None, "RISK_OVERSHOOT"]


# --- sums ---------------------------------------------------------------------------------------


async def test_a_cap_counts_what_is_held_what_works_and_what_is_unknown(ledger: World) -> None:
    await ledger.hold("1")
    unknown = await sent(ledger, "unknown")
    await ledger.store.record_unknown(unknown.client_order_id, 1, "timeout")
    await ledger.rows("INSERT INTO marks (exchange, symbol, price) VALUES ($1, $2, 60000)",
                      EXCHANGE, "BTC/USDT")  # fmt: skip
    held = await ledger.value("SELECT quantity * 60000 + 50000 FROM positions")
    await set_limit(ledger, "global", "max_exposure", str(held + 50_000))
    await ledger.open("fits", strategy_id="s2", quantity=Decimal(1))
    await ledger.open("too-much", strategy_id="s3", quantity=Decimal(1))
    assert await child(ledger, "fits", strategy_id="s2") is None
    assert await child(ledger, "too-much", strategy_id="s3") == "RISK_MAX_EXPOSURE"
    less = {"strategy_id": "s1", "side": Side.SELL, "quantity": Decimal("0.5")}
    await ledger.open("less", side="sell", quantity=Decimal("0.5"))
    assert await child(ledger, "less", **less, price=Decimal(51_000)) is None


async def test_our_own_orders_never_meet(ledger: World) -> None:
    resting = await sent(ledger, "resting", side=Side.SELL, price=Decimal(50_100))
    for name in ("through", "beside", "market", "later"):
        await ledger.open(name, strategy_id="s2")
    crossing = {"strategy_id": "s2", "price": Decimal(50_100)}
    assert await child(ledger, "through", **crossing) == "RISK_SELF_MATCH"
    assert await child(ledger, "beside", strategy_id="s2", price=Decimal("50099.99")) is None
    at_market = {"strategy_id": "s2", "child_type": ChildType.MARKET, "price": None}
    assert await child(ledger, "market", **at_market) is None
    await ledger.ack(resting, a_report(VenueStatus.CANCELLED))
    assert await child(ledger, "later", **crossing) is None


async def test_what_orders_hold_is_not_there_for_others(ledger: World) -> None:
    funds = {"USDT": Decimal(100_000), "BTC": Decimal("0.5")}
    await ledger.store.record_opening_balances(EXCHANGE, ACCOUNT, funds)
    buying = await sent(ledger, "buying", price=Decimal(49_000))
    await ledger.open("selling", side="sell", quantity=Decimal("0.5"))
    small = {"price": Decimal(49_000), "quantity": Decimal("1.1")}
    await ledger.open("more", quantity=Decimal("1.02"), order_type="limit", price=Decimal(50_000))
    assert await child(ledger, "more", **small) == "INSUFFICIENT_FUNDS"
    sells = {"side": Side.SELL, "price": Decimal(52_000)}
    assert await child(ledger, "selling", **sells, quantity=Decimal("0.51")) == "INSUFFICIENT_FUNDS"
    # a fill moves the books: what it bought can be sold, what it saved can be spent
    fill = a_fill("t1", "0.6", price="48000", fee=Decimal(0), fee_asset="USDT")
    await ledger.ack(buying, a_report(VenueStatus.CANCELLED, "0.6", fill))
    _, denied = await ledger.reserve(
        an_intent("selling", 1, **sells, quantity=Decimal("1.1")), parent_quantity=Decimal(2)
    )
    assert denied is None
    assert await accepted(ledger, "rest", quantity=Decimal("1.424")) is None
    assert await accepted(ledger, "rest+", quantity=Decimal("1.42401")) == "INSUFFICIENT_FUNDS"
    assert await accepted(ledger, "exit", side="sell", reduce_only=True) is None


# --- losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("49001", None), ("49000", None), ("48999", "reducing"), ("48500", "reducing"),
     ("48499", "halted")],
)  # fmt: skip
async def test_a_loss_beyond_its_limit_reduces_and_beyond_one_and_a_half_halts(
    ledger: World, mark: str, expected: str | None
) -> None:
    await ledger.hold("1")  # bought at 50,000
    await set_limit(ledger, "strategy:s1", "loss_limit", "1000")
    await ledger.rows("INSERT INTO marks (exchange, symbol, price) VALUES ($1, $2, $3)",
                      EXCHANGE, "BTC/USDT", Decimal(mark))  # fmt: skip
    losses = LossStore(ledger.engine)
    (found,) = await losses.losses()
    assert found.loss == REFERENCE - Decimal(mark)
    state = await losses.act_on(found)
    assert (state and state.value) == expected
    if expected is None:
        assert await accepted(ledger, "more") is None
        return
    assert await ledger.alarms() == ["LOSS_LIMIT"]
    assert await accepted(ledger, "more") == "LOSS_LIMIT"
    halts = expected == "halted"
    assert await accepted(ledger, "less", side="sell") == ("LOSS_LIMIT" if halts else None)
    assert await accepted(ledger, "another", strategy_id="s2") is None
    await losses.act_on(found)
    assert await ledger.value("SELECT count(*) FROM audit WHERE action = 'trading_state'") == 1


async def test_what_was_lost_before_today_does_not_count_and_an_account_stops_its_venue(
    ledger: World,
) -> None:
    await ledger.hold("1")
    await ledger.rows(
        "INSERT INTO position_snapshots (strategy_id, account, exchange, symbol, fill_count, "
        "quantity, cost, realised_gross, fees_quote, fees_other, cash, mark, why, taken_at) "
        "SELECT strategy_id, account, exchange, symbol, 1, quantity, cost, 0, 0, 0, cash, 49000, "
        "'day', now() - interval '1 day' FROM positions"
    )
    await set_limit(ledger, MINE, "loss_limit", "1000")
    await ledger.rows("INSERT INTO marks (exchange, symbol, price) VALUES ($1, $2, 48500)",
                      EXCHANGE, "BTC/USDT")  # fmt: skip
    losses = LossStore(ledger.engine)
    (found,) = await losses.losses()
    assert found.loss == 500
    assert await losses.act_on(found) is None
    await ledger.rows("UPDATE marks SET price = 47900")
    (found,) = await losses.losses()
    await losses.act_on(found)
    states = await ledger.rows("SELECT scope, state, code FROM trading_state")
    expected = {"scope": "venue:binance", "state": "reducing", "code": "LOSS_LIMIT"}
    assert [dict(row) for row in states] == [expected]


async def test_an_override_of_a_loss_limit_holds_to_the_venue(ledger: World) -> None:
    await ledger.open("order-1")
    assert (await ledger.reserve(an_intent()))[1] is None
    await ledger.rows(
        "INSERT INTO trading_state (scope, state, code) "
        "VALUES ('strategy:s1', 'reducing', 'LOSS_LIMIT')"
    )
    name = an_intent().client_order_id
    assert await ledger.store.claim(name, 1, SIGNED_AT_MS) is not None
    store = RiskStore(ledger.engine)
    number = await store.request_override("strategy:s1", "LOSS_LIMIT", "hedge", 5, "ann")
    assert isinstance(number, int)
    assert await store.approve_override(number, "bob") is None
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, False, Decimal(0), "test")
    refused = await ledger.store.claim(name, 1, SIGNED_AT_MS)
    assert refused is not None
    assert refused.code == "RECONCILING"  # the order waits; it is not suspended
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(60), "test")
    assert await ledger.store.claim(name, 1, SIGNED_AT_MS) is None
