"""Children of icebergs, stops and their exits: what only reduces, and what else they carry."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.results import ChildMayBeLiveError, TradingState
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    REFERENCE,
    SIGNED_AT_MS,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_intent,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce
from workflows.domain.reports import VenueStatus
from workflows.ports import Protected, ProtectRequest

OF_S1 = ProtectRequest(
    order_id="exit-1", strategy_id="s1", account=ACCOUNT, venue=EXCHANGE, symbol=SYMBOL
)
NATIVE_STOP: dict[str, Any] = {
    "side": Side.SELL,
    "child_type": ChildType.STOP_LOSS_LIMIT,
    "trigger_price": Decimal(40_000),
    "price": Decimal(39_900),
}


async def an_exit(ledger: World, order_id: str, quantity: str, **changes: Any) -> ChildIntent:
    """The child of a new exit that may only reduce."""
    await ledger.open(order_id, side="sell", reduce_only=True)
    fields: dict[str, Any] = {"side": Side.SELL, "reduce_only": True, "quantity": Decimal(quantity)}
    return an_intent(order_id, **{**fields, **changes})


async def verdict(ledger: World, intent: ChildIntent, attempt: int = 1) -> DenialCode | None:
    denied: Denied | None = (await ledger.reserve(intent, attempt))[1]
    return None if denied is None else denied.code


async def test_what_only_reduces_takes_all_of_the_position_and_no_more(ledger: World) -> None:
    await ledger.hold("1.5")
    assert await verdict(ledger, await an_exit(ledger, "exit-1", "1.6")) is (
        DenialCode.RISK_REDUCE_ONLY
    )
    assert await verdict(ledger, await an_exit(ledger, "exit-2", "1.5")) is None
    assert await verdict(ledger, await an_exit(ledger, "exit-3", "0.1")) is (
        DenialCode.RISK_REDUCE_ONLY
    )


async def test_what_only_reduces_never_adds_to_a_position_of_its_own_side(ledger: World) -> None:
    await ledger.hold("1")
    buy = await an_exit(ledger, "exit-1", "0.1", side=Side.BUY)
    assert await verdict(ledger, buy) is DenialCode.RISK_REDUCE_ONLY
    assert await verdict(ledger, await an_exit(ledger, "exit-2", "1")) is None


async def test_a_short_position_is_reduced_by_buying(ledger: World) -> None:
    await ledger.hold("2", Side.SELL)
    assert await verdict(ledger, await an_exit(ledger, "exit-1", "2", side=Side.BUY)) is None
    sell = await an_exit(ledger, "exit-2", "1")
    assert await verdict(ledger, sell) is DenialCode.RISK_REDUCE_ONLY


async def test_exits_at_the_same_moment_never_share_a_position(ledger: World) -> None:
    await ledger.hold("1")
    exits = [await an_exit(ledger, f"exit-{number}", "0.4") for number in range(6)]
    answers = await asyncio.gather(*(verdict(ledger, intent) for intent in exits))
    assert answers.count(None) == 2
    assert answers.count(DenialCode.RISK_REDUCE_ONLY) == 4


async def test_reducing_lets_exits_pass_and_halted_lets_nothing_pass(ledger: World) -> None:
    await ledger.hold("1")
    first = await an_exit(ledger, "exit-1", "0.5")
    await ledger.open("plain-1", side="sell")
    second = await an_exit(ledger, "exit-2", "0.5")
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    assert await verdict(ledger, first) is None
    assert await ledger.store.claim(first.client_order_id, 1, SIGNED_AT_MS) is None
    await ledger.store.set_trading_state("global", TradingState.HALTED, "test")
    assert await verdict(ledger, second) is DenialCode.TRADING_HALTED


async def test_a_reserved_exit_may_be_sent_while_reducing_though_others_sell_too(
    ledger: World,
) -> None:
    await ledger.hold("1")
    stop = await an_exit(ledger, "exit-1", "1")
    assert await verdict(ledger, stop) is None
    await ledger.open("plain-1", side="sell")
    assert await verdict(ledger, an_intent("plain-1", side=Side.SELL)) is None
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "test")
    assert await ledger.store.claim(stop.client_order_id, 1, SIGNED_AT_MS) is None
    sell = an_intent("plain-1", side=Side.SELL).client_order_id
    refused = await ledger.store.claim(sell, 1, SIGNED_AT_MS)
    assert refused is not None
    assert refused.code == "TRADING_REDUCING"


async def test_no_exit_is_too_large_to_be_sent(ledger: World) -> None:
    for number in range(2):
        await ledger.hold("1.9", name=f"opening-{number}")
    whole = await an_exit(ledger, "exit-1", "3.8")  # 190,000 where an order may have 100,000
    assert await verdict(ledger, whole) is None
    free = await an_exit(ledger, "exit-2", "3.8", reduce_only=False)
    assert await verdict(ledger, free) is DenialCode.RISK_MAX_NOTIONAL


async def test_everything_that_a_native_order_carries_is_read_back(ledger: World) -> None:
    intents = [
        an_intent("order-0", display_quantity=Decimal("0.1")),
        an_intent("order-1", **NATIVE_STOP),
        an_intent(
            "order-2",
            side=Side.SELL,
            child_type=ChildType.STOP_LOSS,
            price=None,
            trailing_delta_bps=700,
            trigger_price=Decimal("50100.5"),
        ),
        an_intent(
            "order-3",
            side=Side.SELL,
            child_type=ChildType.OCO,
            price=Decimal(55_000),
            trigger_price=Decimal(45_000),
            stop_limit_price=Decimal(44_900),
        ),
    ]
    for number, intent in enumerate(intents):
        await ledger.open(f"order-{number}")
        assert await verdict(ledger, intent) is None
        stored = await ledger.store.child_by_id(intent.client_order_id)
        assert stored is not None
        assert stored.intent == intent


@pytest.mark.parametrize(
    "change",
    [
        {"trigger_price": Decimal(41_000)},
        {"display_quantity": Decimal("0.1")},
        {"trailing_delta_bps": 100},
        {"stop_limit_price": Decimal(1)},
        {"reduce_only": True},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_an_approval_holds_for_exactly_what_was_asked(
    ledger: World, change: dict[str, Any]
) -> None:
    await ledger.open("order-1")
    intent = an_intent("order-1", **NATIVE_STOP)
    assert await verdict(ledger, intent) is None
    assert await verdict(ledger, intent) is None
    with pytest.raises(ChildMayBeLiveError):
        await ledger.reserve(replace(intent, **change))


async def test_a_later_attempt_may_carry_other_prices(ledger: World) -> None:
    await ledger.open("order-1")
    intent = an_intent("order-1", **NATIVE_STOP)
    await ledger.reserve(intent)
    await ledger.store.close_attempt(intent.client_order_id, 1)
    lower = replace(intent, trigger_price=Decimal(38_000), price=Decimal(37_900))
    assert await verdict(ledger, lower, 2) is None
    stored = await ledger.store.child_by_id(intent.client_order_id)
    assert stored is not None
    assert stored.intent == lower


async def test_the_limit_of_a_stop_is_measured_from_its_trigger(ledger: World) -> None:
    await ledger.open("order-1")
    far = an_intent("order-1", **{**NATIVE_STOP, "price": Decimal(39_000)})
    assert await verdict(ledger, far) is DenialCode.RISK_PRICE_COLLAR
    assert await verdict(ledger, an_intent("order-1", 1, **NATIVE_STOP)) is None


async def test_an_exit_that_was_fired_goes_as_far_as_its_order_allowed(ledger: World) -> None:
    await ledger.hold("1")
    through = REFERENCE * Decimal("0.95")  # what an order without a trigger is refused for
    stop = {"order_type": "stop_loss", "stop_price": Decimal(50_500), "quantity": Decimal(1)}
    await ledger.open("stop-1", side="sell", **stop)
    await ledger.open("twap-1", side="sell")
    ioc: dict[str, Any] = {
        "side": Side.SELL,
        "price": through,
        "time_in_force": TimeInForce.IOC,
        "quantity": Decimal("0.5"),
    }
    assert await verdict(ledger, an_intent("stop-1", **ioc)) is None
    assert await verdict(ledger, an_intent("twap-1", **ioc)) is DenialCode.RISK_PRICE_COLLAR


async def test_what_is_free_to_close_is_the_position_without_what_others_close(
    ledger: World,
) -> None:
    assert await ledger.steering.read_protected(OF_S1) == Protected(
        position=Decimal(0), free=Decimal(0)
    )
    await ledger.hold("2")
    await ledger.reserve(await an_exit(ledger, "exit-1", "0.5"))
    await ledger.reserve(await an_exit(ledger, "exit-2", "0.3"))
    await ledger.open("more")
    await ledger.reserve(an_intent("more"))  # opens more, and closes nothing
    assert await ledger.steering.read_protected(OF_S1) == Protected(
        position=Decimal(2), free=Decimal("1.7")
    )
    stranger = replace(OF_S1, strategy_id="s2")
    assert (await ledger.steering.read_protected(stranger)).position == 0


async def test_what_is_free_of_a_short_position_is_negative(ledger: World) -> None:
    await ledger.hold("2", Side.SELL)
    await ledger.reserve(await an_exit(ledger, "exit-2", "0.3", side=Side.BUY))
    assert await ledger.steering.read_protected(OF_S1) == Protected(
        position=Decimal(-2), free=Decimal("-1.7")
    )


async def test_a_fill_of_an_exit_frees_nothing_twice(ledger: World) -> None:
    await ledger.hold("2")
    other = await an_exit(ledger, "exit-2", "0.5")
    await ledger.reserve(other)
    await ledger.store.claim(other.client_order_id, 1, SIGNED_AT_MS)
    fill = a_fill("t9", "0.2", fee=Decimal(0))
    await ledger.ack(other, a_report(VenueStatus.OPEN, "0.2", fill))
    assert await ledger.steering.read_protected(OF_S1) == Protected(
        position=Decimal("1.8"), free=Decimal("1.5")
    )
