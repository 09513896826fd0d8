"""Booking what a venue reports: fills once, postings, position, child and reservation together.

Theory. A report carries totals, never a delta, so it may come twice, late or out of order. What
counts is kept by rules that only grow: a fill is unique by its trade id; the executed quantity is
a maximum; a venue's terminal word stays. A child holds a reservation of what may still reach the
position: while open, the quantity minus its fills; once terminal, what executed minus its fills.
It is released when both are equal, and a fill that comes still later is booked and alarmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Insert, Row, Update, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.failpoints import fp
from activities.ledger.alarm_ends import (
    OF_BOOKED_TRADE,
    OF_ENDED_CHILD,
    OF_UNKNOWN_CHILD,
    ended,
)
from activities.ledger.fill_rows import Inserted, Owner, insert_fills
from activities.ledger.models import Attempt, ChildOrder, FillRow, Reservation
from activities.ledger.results import (
    EXTERNAL,
    AttemptState,
    Booked,
    PositionKey,
    UnknownChildError,
)
from activities.ledger.risk_counters import forget_rejections
from activities.ledger.statements import (
    alarm,
    in_one_trip,
    lock_attempt,
    lock_books,
    lock_child,
)
from activities.ledger.store_positions import move_balances, moved_by, moves_of
from workflows.domain.alarms import AlarmCode
from workflows.domain.exact import exact
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ChildReport, ExecutionReport, Fill, VenueStatus

_ENDS = {
    VenueStatus.FILLED: ChildStatus.FILLED,
    VenueStatus.CANCELLED: ChildStatus.CANCELLED,
    VenueStatus.EXPIRED: ChildStatus.EXPIRED,
    VenueStatus.REJECTED: ChildStatus.REJECTED,
}
_REFUSED_ATTEMPTS = (AttemptState.CLOSED, AttemptState.REJECTED)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger holds of a child at the venue. Quantities in base units."""

    status: ChildStatus
    venue_status: VenueStatus | None
    venue_order_id: str | None
    executed_quantity: Decimal
    filled_quantity: Decimal


def merge(known: Known, report: ExecutionReport, fresh: Sequence[Fill]) -> Known:
    """The child after a report, of which only the `fresh` fills are new."""
    with exact():
        filled = sum((fill.quantity for fill in fresh), known.filled_quantity)
    executed = max(known.executed_quantity, report.executed_quantity, filled)
    venue_status = known.venue_status
    if venue_status is None or not venue_status.is_terminal:
        venue_status = report.status
    return Known(
        status=_status(known.status, venue_status, is_complete=filled >= executed),
        venue_status=venue_status,
        venue_order_id=known.venue_order_id or report.venue_order_id,
        executed_quantity=executed,
        filled_quantity=filled,
    )


def _status(before: ChildStatus, venue_status: VenueStatus, *, is_complete: bool) -> ChildStatus:
    if before.is_final:
        return before
    if not venue_status.is_terminal:
        return ChildStatus.WORKING
    return _ENDS[venue_status] if is_complete else ChildStatus.SETTLING


def still_reserved(known: Known, quantity: Decimal) -> Decimal:
    """Base units that may still reach the position."""
    ended = known.venue_status is not None and known.venue_status.is_terminal
    with exact():
        return max((known.executed_quantity if ended else quantity) - known.filled_quantity, _ZERO)


# --- our own orders -----------------------------------------------------------------------------


async def book(
    connection: AsyncConnection,
    intent: ChildIntent,
    report: ExecutionReport,
    base: str,
    quote: str,
    *,
    acked_attempt: int = 0,
) -> Booked:
    """See LedgerStore.book_report; with `acked_attempt`, that attempt becomes ACKED too."""
    key, owner = PositionKey.of(intent), _owner(intent, report, base, quote)
    position = await lock_books(connection, key) if report.fills else None
    child = await _locked(connection, intent.client_order_id, acked_attempt)
    if child is None:
        raise UnknownChildError(f"the ledger holds no child {intent.client_order_id}")
    inserted = await insert_fills(connection, owner, report.fills)
    if inserted.fresh:
        fp("fill.mid_tx", intent.client_order_id, intent.order_id)
    before = _known(child)
    after = merge(before, report, inserted.fresh)
    writes: list[Insert | Update] = [
        *_changes(child, before, after),
        *await moves_of(connection, key, position, intent.side, inserted.fresh),
        *_acks(child, acked_attempt),
        *_alarms(child, before, report, inserted),
        *_ends(child, before, after),
        *_named(owner, inserted),
    ]
    if writes:
        await connection.execute(in_one_trip(*writes))
    totals = await _totals(connection, child, inserted.fresh)
    await move_balances(connection, key.exchange, key.account, moved_by(owner, inserted.fresh))
    if acked_attempt and child._mapping.get("rejects_in_row"):
        await connection.execute(forget_rejections(key.strategy_id))
    return Booked(
        report=_report(child.client_order_id, after, totals),
        new_fills=len(inserted.fresh),
        conflicts=inserted.conflicts,
    )


async def _locked(
    connection: AsyncConnection, client_order_id: str, acked_attempt: int
) -> Row[Any] | None:
    """The child, with the attempt that was answered where there is one."""
    child = None
    if acked_attempt:
        child = await lock_attempt(connection, client_order_id, acked_attempt)
    return child or await lock_child(connection, client_order_id)


def _attempt_state(child: Row[Any]) -> AttemptState | None:
    state = child._mapping.get("attempt_state")
    return None if state is None else AttemptState(state)


def _owner(intent: ChildIntent, report: ExecutionReport, base: str, quote: str) -> Owner:
    return Owner(
        exchange=intent.venue,
        account=intent.account,
        symbol=intent.symbol,
        venue_order_id=report.venue_order_id,
        side=intent.side,
        base=base,
        quote=quote,
        client_order_id=intent.client_order_id,
        strategy_id=intent.strategy_id,
    )


def _known(child: Row[Any]) -> Known:
    return Known(
        status=ChildStatus(child.status),
        venue_status=None if child.venue_status is None else VenueStatus(child.venue_status),
        venue_order_id=child.venue_order_id,
        executed_quantity=child.executed_quantity,
        filled_quantity=child.filled_quantity,
    )


def _changes(child: Row[Any], before: Known, after: Known) -> list[Update]:
    if after == before:
        return []
    values: dict[str, Any] = {
        "status": after.status.value,
        "venue_status": after.venue_status,
        "venue_order_id": after.venue_order_id,
        "executed_quantity": after.executed_quantity,
        "filled_quantity": after.filled_quantity,
        "updated_at": func.now(),
    }
    if after.status is not before.status:
        values["reason"] = ""
    return [
        update(ChildOrder)
        .where(ChildOrder.client_order_id == child.client_order_id)
        .values(values),
        update(Reservation)
        .where(Reservation.client_order_id == child.client_order_id, Reservation.state == "open")
        .values(
            quantity=still_reserved(after, child.quantity),
            state="released" if after.status.is_final else "open",
        ),
    ]


def _acks(child: Row[Any], attempt: int) -> list[Update]:
    if _attempt_state(child) in (None, AttemptState.ACKED):
        return []
    return [
        update(Attempt)
        .where(Attempt.client_order_id == child.client_order_id, Attempt.attempt == attempt)
        .values(state=AttemptState.ACKED.value, outcome_code="", outcome_reason="")
    ]


def _alarms(
    child: Row[Any], before: Known, report: ExecutionReport, inserted: Inserted
) -> list[Insert]:
    """What must not happen by the protocol, and did."""
    name, alarms = child.client_order_id, []
    if before.status.is_final and inserted.fresh:
        trades = ",".join(fill.trade_id for fill in inserted.fresh)
        alarms.append(alarm(AlarmCode.LATE_FILL, name, f"status={before.status} trades={trades}"))
    at_venue_after_end = before.status.is_final and before.venue_status is None
    if at_venue_after_end or _attempt_state(child) in _REFUSED_ATTEMPTS:
        facts = f"status={before.status} attempt={_attempt_state(child)}"
        alarms.append(
            alarm(AlarmCode.LATE_ACK, name, f"{facts} venue_order_id={report.venue_order_id}")
        )
    if before.venue_order_id not in (None, report.venue_order_id):
        facts = f"known={before.venue_order_id} reported={report.venue_order_id}"
        alarms.append(alarm(AlarmCode.DUPLICATE_ORDER, name, facts))
    place = f"{child.exchange}:{child.account}:{child.symbol}"
    return alarms + _conflict_alarms(place, inserted)


def _ends(child: Row[Any], before: Known, after: Known) -> list[Update]:
    """What people were told of the child, and is over."""
    if after.status.is_final and not before.status.is_final:
        return [ended(OF_ENDED_CHILD, child.client_order_id)]
    if before.status is ChildStatus.UNKNOWN and after.status is not ChildStatus.UNKNOWN:
        return [ended(OF_UNKNOWN_CHILD, child.client_order_id)]
    return []


def _named(owner: Owner, inserted: Inserted) -> list[Update]:
    """A trade that is booked has an order."""
    place = f"{owner.exchange}/{owner.account}/{owner.symbol}"
    trades = [f"{place}/{fill.trade_id}" for fill in inserted.fresh]
    return [ended(OF_BOOKED_TRADE, *trades)] if trades else []


def _conflict_alarms(place: str, inserted: Inserted) -> list[Insert]:
    detail = "booked before with other figures; left as it was"
    return [
        alarm(AlarmCode.FILL_CONFLICT, f"{place}:{each}", detail) for each in inserted.conflicts
    ]


# --- totals -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    quote: Decimal
    fees: dict[str, Decimal]


async def _totals(connection: AsyncConnection, child: Row[Any], fresh: Sequence[Fill]) -> _Totals:
    if not child.filled_quantity:
        return _totals_of(fresh)
    rows = await connection.execute(
        select(
            FillRow.fee_asset,
            func.sum(FillRow.fee).label("fee"),
            func.sum(FillRow.price * FillRow.quantity).label("quote"),
        )
        .where(FillRow.client_order_id == child.client_order_id)
        .group_by(FillRow.fee_asset)
        .order_by(FillRow.fee_asset)
    )
    by_asset = rows.all()
    with exact():
        value = sum((row.quote for row in by_asset), _ZERO)
    return _Totals(quote=value, fees={row.fee_asset: row.fee for row in by_asset if row.fee})


def _totals_of(fills: Sequence[Fill]) -> _Totals:
    """The totals of a child whose only fills are these."""
    fees: dict[str, Decimal] = {}
    with exact():
        value = sum((fill.price * fill.quantity for fill in fills), _ZERO)
        for fill in sorted(fills, key=lambda each: each.fee_asset):
            fees[fill.fee_asset] = fees.get(fill.fee_asset, _ZERO) + fill.fee
    return _Totals(quote=value, fees={asset: fee for asset, fee in fees.items() if fee})


def _report(client_order_id: str, known: Known, totals: _Totals) -> ChildReport:
    assert known.venue_order_id is not None, "a report needs the venue's word"
    return ChildReport(
        client_order_id=client_order_id,
        venue_order_id=known.venue_order_id,
        status=known.venue_status or VenueStatus.OPEN,
        executed_quantity=known.executed_quantity,
        filled_quantity=known.filled_quantity,
        filled_quote=totals.quote,
        fees=totals.fees,
    )


async def report_of(connection: AsyncConnection, child: Row[Any]) -> ChildReport | None:
    """What is booked of a child; None until the venue has given it an id."""
    if child.venue_order_id is None:
        return None
    totals = await _totals(connection, child, ())
    return _report(child.client_order_id, _known(child), totals)


# --- orders that are not ours -------------------------------------------------------------------


async def book_external(connection: AsyncConnection, owner: Owner, fills: Sequence[Fill]) -> int:
    """See LedgerStore.book_external."""
    key = PositionKey(EXTERNAL, owner.account, owner.exchange, owner.symbol)
    position = await lock_books(connection, key)
    inserted = await insert_fills(connection, owner, fills)
    place = f"{owner.exchange}:{owner.account}:{owner.symbol}"
    writes = await moves_of(connection, key, position, owner.side, inserted.fresh)
    if inserted.fresh:
        detail = f"side={owner.side} fills={len(inserted.fresh)}"
        writes.append(alarm(AlarmCode.EXTERNAL_FILL, f"{place}:{owner.venue_order_id}", detail))
    writes += [*_conflict_alarms(place, inserted), *_named(owner, inserted)]
    if writes:
        await connection.execute(in_one_trip(*writes))
    await move_balances(connection, key.exchange, key.account, moved_by(owner, inserted.fresh))
    return len(inserted.fresh)
