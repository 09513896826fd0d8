"""What the demo tells of its iceberg and its trailing stop, and what it counts as held."""

from decimal import Decimal
from typing import Any

import pytest

from starters.demo_beside import news
from starters.demo_result import OrderOutcome
from starters.demo_show import Screen
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Placement, Side
from workflows.domain.triggers import Flag, TriggerSource
from workflows.messages import OrderSnapshot
from workflows.order_views import IcebergProgress, StopProgress


def an_iceberg(*, filled: int, status: OrderStatus = OrderStatus.WORKING) -> OrderSnapshot:
    progress = IcebergProgress(
        placement=Placement.ENGINE,
        display_quantity=Decimal("0.2"),
        tips_shown=min(filled + 1, 5),
        tips_filled=filled,
        hidden_quantity=Decimal("0.2") * max(4 - filled, 0),
        percent=Decimal(20 * filled),
    )
    return OrderSnapshot(
        order_id="i",
        status=status,
        order_type=OrderType.ICEBERG,
        quantity=Decimal(1),
        filled_quantity=Decimal("0.2") * filled,
        iceberg=progress,
    )


FIRED = {
    "phase": "fired",
    "fired_price": Decimal(49_970),
    "trigger_price": Decimal(49_975),
    "extreme": Decimal(50_000),
}


def a_stop(status: OrderStatus = OrderStatus.WORKING, **changes: Any) -> OrderSnapshot:
    armed: dict[str, Any] = {
        "placement": Placement.ENGINE,
        "phase": "armed",
        "trigger_source": TriggerSource.BID_ASK,
        "is_protected": True,
        "protected_quantity": Decimal(1),
    }
    return OrderSnapshot(
        order_id="s",
        status=status,
        order_type=OrderType.TRAILING_STOP,
        average_price=Decimal(49_969),
        stop=StopProgress(**armed | changes),
    )


def test_each_tip_is_told_once_with_what_is_left_to_show():
    first, third = an_iceberg(filled=1), an_iceberg(filled=3)
    assert news(first, first) == []
    assert news(an_iceberg(filled=0), first) == ["tip 1 filled, 0.2 of 1 in all, 0.6 hidden"]
    assert news(first, third) == ["tip 3 filled, 0.6 of 1 in all, 0.2 hidden"]


def test_a_trigger_that_fires_is_told_once_with_how_far_it_had_followed():
    fired = a_stop(**FIRED, flags=(Flag.LATE,))
    (told,) = news(a_stop(), fired)
    assert "fired at 49,970.00, as the highest bid was 50,000.00" in told
    assert "49,975.00 (LATE)" in told
    assert news(fired, fired) == []
    assert news(a_stop(), a_stop()) == []


@pytest.mark.parametrize(
    ("order", "holds"),
    [
        (an_iceberg(filled=5, status=OrderStatus.FILLED), True),
        (an_iceberg(filled=1, status=OrderStatus.FILLED), False),
        (an_iceberg(filled=1, status=OrderStatus.CANCELLED), True),
        (an_iceberg(filled=1, status=OrderStatus.REJECTED), False),
        (a_stop(OrderStatus.FILLED, **FIRED), True),
        (a_stop(OrderStatus.FILLED), False),
        (a_stop(OrderStatus.CANCELLED), True),
        (a_stop(OrderStatus.EXPIRED, **FIRED), False),
    ],
)
def test_what_the_market_did_not_come_for_may_be_cancelled_and_nothing_else(order, holds):
    assert (outcome(order).failures() == []) is holds


def outcome(order: OrderSnapshot) -> OrderOutcome:
    assert order.order_type is not None
    return OrderOutcome(
        order=order,
        order_type=order.order_type,
        side=Side.SELL,
        quantity=Decimal(1),
        market_average=Decimal(50_000),
        took_s=1,
    )


def test_the_end_tells_the_tips_and_where_the_trigger_fired(capsys):
    iceberg = an_iceberg(filled=5, status=OrderStatus.FILLED)
    stop = a_stop(OrderStatus.FILLED, **FIRED)
    Screen(as_json=False).orders([outcome(iceberg), outcome(stop)])
    told = capsys.readouterr().out
    assert "iceberg: 5 tips shown, 5 filled, 0.2 of 1 at a time" in told
    assert "best price 50,000.00, trigger 49,975.00, fired at 49,970.00" in told
    assert "left at 49,969.00 on average" in told
