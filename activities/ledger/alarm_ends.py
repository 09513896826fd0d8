"""Alarms whose condition has ended: the engine closes them where the ledger sees the end.

Rule: an alarm is closed in the transaction that stores the end, as `engine` with the note
`resolved`. A code that is in no set here asks for a human's look, and stays open until somebody
has taken it up. It must not know who raises alarms.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, exists, func, literal, or_, select, update

from activities.ledger.audit import ENGINE
from activities.ledger.control_models import Alarm, TradingStateRow
from activities.ledger.models import ParentOrder
from activities.ledger.results import TradingState
from activities.ledger.watch_models import PriceWatch
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus

RESOLVED = "resolved"
OF_UNKNOWN_CHILD = (AlarmCode.UNKNOWN_ORDER,)
OF_ENDED_CHILD = (AlarmCode.UNKNOWN_ORDER, AlarmCode.FILLS_MISSING)
OF_BOOKED_TRADE = (AlarmCode.TRADE_WITHOUT_ORDER,)
OF_ENDED_LEG = (AlarmCode.LEG_LEFT_OPEN,)
OF_RESUMED_GUARD = (AlarmCode.UNPROTECTED,)
OF_FILLED_GUARD = (AlarmCode.UNPROTECTED, AlarmCode.STOP_EXHAUSTED, AlarmCode.OCO_LEG_LOST)
OF_ENDED_EXECUTION = (
    AlarmCode.NAKED_LEG,
    AlarmCode.RESIDUAL_BEYOND_BOUND,
    AlarmCode.COMPENSATION_DENIED,
)
"""What is left of it then has an alarm of its own."""
OF_READY_ACCOUNT = (AlarmCode.ACCOUNT_NOT_FOLLOWED,)
OF_SEEN_PRICE = (AlarmCode.PRICE_FEED_STALE,)
OF_SEEING_DROP_COPY = (AlarmCode.DROP_COPY_BLIND,)
OF_CLOSED_BREAK = (AlarmCode.RECON_BREAK,)
OF_VALUED_FEE = (AlarmCode.FEE_NOT_VALUED,)
OF_REARMED_STRATEGY = (AlarmCode.STRATEGY_DISABLED,)
_ENDED = [status.value for status in OrderStatus if status.is_terminal]


def ended(codes: Iterable[AlarmCode], *abouts: str) -> Update:
    """Close the open alarms of these codes that are about one of these objects."""
    return _closing(Alarm.code.in_([code.value for code in codes]), Alarm.object.in_(abouts))


def ended_with_switch(scope: str, code: str | None) -> list[Update]:
    """Close what a switch had caused that is set to active; `code`: what it denied with.

    A loss of an account stops its whole venue. Whoever guards a position does it again, unless
    its order was suspended or another switch stops it still: run this after the change.
    """
    closed = [_closing(Alarm.code == AlarmCode.HALT_INCOMPLETE.value, Alarm.object == scope)]
    if code == DenialCode.LOSS_LIMIT:
        kind, _, name = scope.partition(":")
        causes = [Alarm.object == scope]
        if kind == "venue":
            causes.append(Alarm.object.startswith(f"account:{name}:", autoescape=True))
        closed.append(_closing(Alarm.code == AlarmCode.LOSS_LIMIT.value, or_(*causes)))
    guards = _closing(
        Alarm.code == AlarmCode.UNPROTECTED.value, Alarm.object.in_(_guarding_again())
    )
    return [*closed, guards]


def _closing(*which: ColumnElement[bool]) -> Update:
    return (
        update(Alarm)
        .where(Alarm.acknowledged_at.is_(None), *which)
        .values(acknowledged_at=func.clock_timestamp(), acknowledged_by=ENGINE, note=RESOLVED)
    )


def _guarding_again() -> Any:
    """Orders whose trigger is armed and that no halt stops."""
    order = ParentOrder
    scopes = (
        "global",
        literal("venue:") + order.exchange,
        literal("symbol:") + order.exchange + ":" + order.symbol,
        literal("strategy:") + order.strategy_id,
    )
    is_halted = exists().where(
        TradingStateRow.state == TradingState.HALTED.value, TradingStateRow.scope.in_(scopes)
    )
    is_armed = and_(PriceWatch.order_id == order.order_id, PriceWatch.status == "armed")
    return select(order.order_id).where(
        order.status.not_in([*_ENDED, OrderStatus.PAUSED.value]),
        exists().where(is_armed),
        ~is_halted,
    )
