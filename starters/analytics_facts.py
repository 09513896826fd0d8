"""The stored facts of an order in the terms of its analysis: trades, middles, prices, fees, times.

Rule: nothing is made up; what was not stored is None. Times become seconds since 1970, exactly.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from activities.ledger.view_analytics import ExecutionFacts, FillFact, OrderFacts
from starters.analytics_models import FillTiming, PriceSource
from workflows.domain import tca
from workflows.domain.exact import exact
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.positions import FeeKind, fee_kind

MARK_MAX_AGE = timedelta(minutes=2)
"""Middles are kept about once a minute: an older one says nothing of a moment."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """The prices that an order is measured by, and where the decision is from."""

    decision: Decimal
    source: PriceSource
    arrival: Decimal


def span_of(facts: ExecutionFacts) -> tuple[datetime | None, datetime | None]:
    """From when the first child was sent until the end, or the last fill."""
    sent = [each.sent_at for each in facts.children if each.sent_at is not None]
    if not sent:
        return None, None
    ends = [each.traded_at for each in facts.fills] or [facts.order.finished_at or facts.read_at]
    if not OrderStatus(facts.order.status).is_terminal:
        ends = [facts.read_at]
    return min(sent), max(*sent, *ends)


def trade_of(fill: FillFact) -> tca.Trade:
    """A fill on the clock of `seconds_of`."""
    return tca.Trade(
        at_s=seconds_of(fill.traded_at),
        price=fill.price,
        quantity=fill.quantity,
        is_maker=fill.is_maker,
    )


def mids_of(facts: ExecutionFacts) -> list[tca.Mid]:
    """The arrival price is the first middle that the order saw."""
    order = facts.order
    seen = [tca.Mid(at_s=seconds_of(each.marked_at), price=each.price) for each in facts.marks]
    if order.arrival_price is not None and order.accepted_at is not None:
        seen.append(tca.Mid(at_s=seconds_of(order.accepted_at), price=order.arrival_price))
    return sorted(seen, key=lambda each: each.at_s)


def priced_of(order: OrderFacts) -> Priced | None:
    """Which prices count; None for an order that was not accepted."""
    arrival = order.arrival_price
    fired = _decimal((order.snapshot or {}).get("stop"), "fired_price")
    if fired is not None:
        return Priced(decision=fired, source=PriceSource.TRIGGER, arrival=fired)
    if arrival is None:
        return None
    leg = order.order_id.partition(":")[2]
    planned = _decimal(order.plan, f"{order.side}_price") if leg == order.side else None
    if planned is not None:
        return Priced(decision=planned, source=PriceSource.PLAN, arrival=arrival)
    return Priced(decision=arrival, source=PriceSource.ARRIVAL, arrival=arrival)


def _decimal(fields: Any, name: str) -> Decimal | None:
    """An amount that was stored as text; None where there is none."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return None if value is None else Decimal(str(value))


def end_price_of(facts: ExecutionFacts) -> Decimal | None:
    """The last middle that was seen by its end, or by now."""
    ended_at = facts.order.finished_at or facts.read_at
    near = [
        each
        for each in mids_of(facts)
        if seconds_of(ended_at - MARK_MAX_AGE) <= each.at_s <= seconds_of(ended_at)
    ]
    return near[-1].price if near else None


def fees_of(fills: Sequence[FillFact], symbol: str) -> Decimal | None:
    """In quote units; None where one has no known price."""
    total = _ZERO
    with exact():
        for fill in fills:
            rate = _rate(fill, symbol)
            if rate is None and fill.fee:
                return None
            total += fill.fee * (rate or _ZERO)
    return total


def unvalued_of(fills: Sequence[FillFact], symbol: str) -> dict[str, Decimal]:
    """Fees without a known price, by asset."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    with exact():
        for fill in fills:
            if fill.fee and _rate(fill, symbol) is None:
                found[fill.fee_asset] += fill.fee
    return dict(found)


def _rate(fill: FillFact, symbol: str) -> Decimal | None:
    """What a unit of the fee is worth in quote units: the fill's own price, of the base asset."""
    kind = fee_kind(fill.fee_asset, symbol)
    if kind is FeeKind.QUOTE:
        return Decimal(1)
    return fill.price if kind is FeeKind.BASE else fill.fee_rate


def timing_of(facts: ExecutionFacts) -> FillTiming:
    """When what happened, and how long after its acceptance."""
    order, fills = facts.order, facts.fills
    sent = min((each.sent_at for each in facts.children if each.sent_at), default=None)
    first = fills[0].traded_at if fills else None
    last = fills[-1].traded_at if fills else None
    start = order.accepted_at
    return FillTiming(
        accepted_at=start,
        first_sent_at=sent,
        first_fill_at=first,
        last_fill_at=last,
        finished_at=order.finished_at,
        to_first_sent_s=between_s(start, sent),
        to_first_fill_s=between_s(start, first),
        to_last_fill_s=between_s(start, last),
        duration_s=between_s(start, order.finished_at or facts.read_at),
    )


def between_s(start: datetime | None, end: datetime | None) -> Decimal | None:
    """Seconds; None without either. Two clocks, ours and the venue's, may make it negative."""
    return None if start is None or end is None else seconds_of(end) - seconds_of(start)


def seconds_of(at: datetime) -> Decimal:
    """Seconds since 1970, to the microsecond."""
    return Decimal((at - _EPOCH) // _MICROSECOND).scaleb(-6)


def ms_of(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(seconds_of(at) * 1000)
