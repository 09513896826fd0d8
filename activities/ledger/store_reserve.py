"""Reserve: one attempt of a child is checked and booked, in one transaction.

Theory. The position row is the lock of its limits: two reservations of one position never see
the same headroom; what is shared by several positions has locks of its own (`risk_locks`). Bookings
of fills take the same lock first, so what a reservation reads (position, open reservations) is
never torn between a fill and the reservation it consumes.
The answer is stored as a risk check, so asking again answers the same and counts once.
"""

from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Insert,
    Integer,
    Numeric,
    Row,
    Select,
    Update,
    bindparam,
    case,
    exists,
    func,
    or_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import (
    Compensation,
    Controls,
    check_child,
    check_children,
    check_overshoot,
)
from activities.ledger.models import (
    Attempt,
    ChildOrder,
    ParentOrder,
    Reservation,
    RiskCheck,
)
from activities.ledger.reserve_facts import CHECKED, RESERVE_FACTS
from activities.ledger.results import (
    AttemptState,
    ChildClosedError,
    ChildMayBeLiveError,
    PositionKey,
)
from activities.ledger.risk_counters import count_message
from activities.ledger.risk_facts import controls_of, limits_of
from activities.ledger.risk_locks import asset_of, binds_of, lock_for_child
from activities.ledger.statements import (
    block_of,
    exposure_of,
    in_one_trip,
    lock_child,
)
from activities.ledger.watch_models import PriceWatch
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent, OrderType
from workflows.domain.risk import Limits, Proposal, proposal_of
from workflows.ports import WatchStatus


async def reserve(
    connection: AsyncConnection,
    intent: ChildIntent,
    attempt: int,
    reference_price: Decimal,
    parent_quantity: Decimal,
    limits: Limits,
    compensation: Compensation | None = None,
    *,
    is_locked: bool = False,
    counts: bool = True,
) -> tuple[str, Denied | None]:
    """See LedgerStore.reserve; `compensation` was read with the execution held.

    `is_locked`: the caller holds the locks of `lock_for_child`. `counts`: as a message.
    """
    key = PositionKey.of(intent)
    if not is_locked:
        await lock_for_child(connection, key, intent.side)
    if attempt > 1:  # a late worker may be claiming the attempt before
        await lock_child(connection, intent.client_order_id)
    facts = (await connection.execute(RESERVE_FACTS, _names(intent, attempt, key))).one()
    if facts.verdict is not None:
        return facts.epoch, _stored_answer(intent, attempt, facts)
    ended = _ended_before(facts)
    _refuse_reopening(intent, attempt, facts, is_over=ended is not None)
    proposal = _proposal(intent, facts, reference_price)
    bound = limits_of(facts, key, limits)
    controls = await controls_of(connection, facts, key, intent.side, intent.client_order_id)
    denied = (
        ended
        or check_child(proposal, exposure_of(facts), block_of(facts), bound, compensation, controls)
        or check_overshoot(facts.used, intent.quantity, parent_quantity)
        or check_children(facts.siblings, bound)
    )
    writes = _writes(approved=denied is None, first=attempt == 1, counts=counts)
    values = _values(intent, attempt, denied, compensation) | _held(proposal, key, controls, denied)
    await connection.execute(writes, values)
    return facts.epoch, denied


def _names(intent: ChildIntent, attempt: int, key: PositionKey) -> dict[str, Any]:
    return {
        "client_order_id": intent.client_order_id,
        "order_id": intent.order_id,
        "attempt": attempt,
        **binds_of(key, intent.side),
    }


def _stored_answer(intent: ChildIntent, attempt: int, facts: Row[Any]) -> Denied | None:
    if facts.verdict == "approved":
        if any(getattr(facts, name) != getattr(intent, name) for name in CHECKED):
            raise ChildMayBeLiveError(
                f"child {intent.client_order_id} was approved otherwise", attempt=attempt
            )
        return None
    return Denied(code=DenialCode(facts.code), field=facts.field, detail=facts.detail)


def _refuse_reopening(intent: ChildIntent, attempt: int, facts: Row[Any], *, is_over: bool) -> None:
    """A child that ended, or that may be at the venue, gets no further attempt.

    The end of an order gives its unsent children up: those are denied, not refused.
    """
    if facts.venue_order_id is not None or facts.live is not None:
        raise ChildMayBeLiveError(
            f"child {intent.client_order_id} may be live: attempt {attempt} cannot be reserved",
            attempt=facts.live or facts.latest,
        )
    given_up = facts.child_status == ChildStatus.NOT_SENT and not is_over
    if given_up or facts.latest >= attempt:
        raise ChildClosedError(
            f"child {intent.client_order_id} is {facts.child_status}, attempt {facts.latest}: "
            f"attempt {attempt} cannot be reserved"
        )


def _ended_before(facts: Row[Any]) -> Denied | None:
    """An order that ended in the ledger sends nothing more, whatever its workflow remembers.

    The workflow task that stored the end may be done again, and come to another conclusion.
    """
    status = facts.parent_status
    if status is None or not OrderStatus(status).is_terminal:
        return None
    return Denied(code=DenialCode.ALREADY_TERMINAL, detail=f"the order ended {status}")


def _proposal(intent: ChildIntent, facts: Row[Any], reference_price: Decimal) -> Proposal:
    is_triggered = facts.parent_type is not None and OrderType(facts.parent_type).is_triggered
    was_fired = is_triggered and intent.trigger_price is None
    return proposal_of(intent, reference_price, was_fired=was_fired)


# --- writes -------------------------------------------------------------------------------------

_NOT_YET_AT_WORK = [OrderStatus.ACCEPTED.value, OrderStatus.WAITING_PRICE.value]
_NAMES = ("client_order_id", "order_id", "child_index", "generation")
_PLACE = ("strategy_id", "account", "exchange", "symbol", "side")
_PRICED_ANEW = ("time_in_force", "post_only", *(name for name in CHECKED if name != "side"))
_ANEW = (*_PRICED_ANEW, "compensates", "status", "reason")
_CHILD = (*_NAMES, *_PLACE, *_ANEW)
_FUNDS = ("asset", "unit_funds", "unit_value")
_RESERVATION = ("client_order_id", *_PLACE, *_FUNDS, "quantity")
_CHECK = ("verdict", "code", "field", "detail")


def _values(
    intent: ChildIntent, attempt: int, denied: Denied | None, compensation: Compensation | None
) -> dict[str, Any]:
    """The binds of `_writes`; prefixed, since a bind named like a column would become a value."""
    values = {
        "client_order_id": intent.client_order_id,
        "order_id": intent.order_id,
        "child_index": intent.child_index,
        "generation": intent.generation,
        "strategy_id": intent.strategy_id,
        "account": intent.account,
        "exchange": intent.venue,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "child_type": intent.child_type.value,
        "time_in_force": intent.time_in_force.value,
        "post_only": intent.post_only,
        "quantity": intent.quantity,
        "price": intent.price,
        "display_quantity": intent.display_quantity,
        "trigger_price": intent.trigger_price,
        "trailing_delta_bps": intent.trailing_delta_bps,
        "stop_limit_price": intent.stop_limit_price,
        "reduce_only": intent.reduce_only,
        "compensates": None if compensation is None else compensation.execution_id,
        "status": (ChildStatus.READY if denied is None else ChildStatus.DENIED).value,
        "reason": "" if denied is None else str(denied),
        "attempt": attempt,
        "verdict": "approved" if denied is None else "denied",
        "code": None if denied is None else denied.code.value,
        "field": None if denied is None else denied.field,
    }
    return {f"in_{name}": value for name, value in values.items()}


def _held(
    proposal: Proposal, key: PositionKey, controls: Controls, denied: Denied | None
) -> dict[str, Any]:
    """What a reservation holds of the account's funds, and what the check has to tell."""
    return {
        "in_asset": asset_of(key, proposal.side),
        "in_unit_funds": proposal.unit_funds,
        "in_unit_value": proposal.unit_value,
        "in_detail": controls.told if denied is None else denied.detail,
    }


def _binds(*names: str) -> dict[str, BindParameter[Any]]:
    return {name: bindparam(f"in_{name}") for name in names}


@cache
def _writes(*, approved: bool, first: bool, counts: bool) -> Select[Any]:
    """All writes of one answer as one statement, built once for each of its forms."""
    check = insert(RiskCheck).values(
        kind="child", subject=bindparam("in_client_order_id"), **_binds("attempt", *_CHECK)
    )
    earlier = [] if first else [_close_earlier()]
    rest = [_attempt(), _reservation(), _parent_works()] if approved else [_release()]
    message = [count_message(bindparam("in_exchange"), bindparam("in_account"))] if counts else []
    return in_one_trip(check, _child(), *earlier, *rest, *message)


def _child() -> Insert:
    """The child as this attempt would send it: a later attempt may be priced anew."""
    new = insert(ChildOrder).values(**_binds(*_CHILD))
    again = {name: new.excluded[name] for name in _ANEW}
    return new.on_conflict_do_update(
        index_elements=[ChildOrder.client_order_id], set_={**again, "updated_at": func.now()}
    )


def _attempt() -> Insert:
    return insert(Attempt).values(
        state=AttemptState.READY.value, **_binds("client_order_id", "attempt")
    )


def _close_earlier() -> Update:
    return (
        update(Attempt)
        .where(
            Attempt.client_order_id == bindparam("in_client_order_id"),
            Attempt.attempt < bindparam("in_attempt"),
            Attempt.state == AttemptState.READY.value,
        )
        .values(state=AttemptState.CLOSED.value)
    )


def _reservation() -> Insert:
    new = insert(Reservation).values(state="open", **_binds(*_RESERVATION))
    again = {name: new.excluded[name] for name in ("quantity", *_FUNDS)}
    return new.on_conflict_do_update(
        index_elements=[Reservation.client_order_id], set_={**again, "state": "open"}
    )


def _release() -> Update:
    return (
        update(Reservation)
        .where(Reservation.client_order_id == bindparam("in_client_order_id"))
        .values(state="released")
    )


def _parent_works() -> Update:
    """It works, unless its trigger is still waited for: by the venue, or by a watch of ours."""
    is_watched = exists().where(
        PriceWatch.order_id == bindparam("in_order_id"),
        PriceWatch.status == WatchStatus.ARMED.value,
    )
    waits = or_(
        bindparam("in_trigger_price", type_=Numeric).is_not(None),
        bindparam("in_trailing_delta_bps", type_=Integer).is_not(None),
        is_watched,
    )
    return (
        update(ParentOrder)
        .where(
            ParentOrder.order_id == bindparam("in_order_id"),
            ParentOrder.status.in_(_NOT_YET_AT_WORK),
        )
        .values(
            status=case((waits, OrderStatus.WAITING_PRICE.value), else_=OrderStatus.WORKING.value),
            updated_at=func.now(),
        )
    )
