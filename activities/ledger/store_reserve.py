"""Reserve: one attempt of a child is checked and booked, in one transaction.

Theory. The position row is the lock of its limits: two reservations of one position never see
the same headroom. Bookings of fills take the same lock first, so what a reservation reads
(position, open reservations) is never torn between a fill and the reservation it consumes.
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
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Compensation, check_child, check_overshoot
from activities.ledger.models import (
    Attempt,
    ChildOrder,
    LedgerMeta,
    ParentOrder,
    Reservation,
    RiskCheck,
)
from activities.ledger.results import (
    MAY_BE_LIVE,
    AttemptState,
    ChildClosedError,
    ChildMayBeLiveError,
    PositionKey,
)
from activities.ledger.statements import (
    block_of,
    in_one_trip,
    lock_child,
    lock_position,
    strictest_state,
    working,
)
from activities.ledger.watch_models import PriceWatch
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildIntent, OrderType, Side
from workflows.domain.risk import Exposure, Limits, proposal_of
from workflows.ports import WatchStatus

_CHECKED = (
    "side",
    "child_type",
    "quantity",
    "price",
    "display_quantity",
    "trigger_price",
    "trailing_delta_bps",
    "stop_limit_price",
    "reduce_only",
)
"""What an approval was given for: fields of an intent, and columns of a child, by one name."""


def _facts() -> Select[Any]:
    """Everything that the checks need, in one row."""
    one = select(literal(1).label("n")).subquery("one")
    block = strictest_state().lateral("block")
    latest = func.coalesce(func.max(Attempt.attempt), 0)
    attempts = Attempt.client_order_id == bindparam("client_order_id")
    live = func.max(Attempt.attempt).filter(Attempt.state.in_(MAY_BE_LIVE))
    stored = and_(
        RiskCheck.kind == "child",
        RiskCheck.subject == bindparam("client_order_id"),
        RiskCheck.attempt == bindparam("attempt"),
    )
    return (
        select(
            select(LedgerMeta.epoch).scalar_subquery().label("epoch"),
            RiskCheck.verdict,
            RiskCheck.code,
            RiskCheck.field,
            RiskCheck.detail,
            ChildOrder.status.label("child_status"),
            _of_parent(ParentOrder.status).label("parent_status"),
            _of_parent(ParentOrder.order_type).label("parent_type"),
            ChildOrder.venue_order_id,
            select(latest).where(attempts).scalar_subquery().label("latest"),
            select(live).where(attempts).scalar_subquery().label("live"),
            *(ChildOrder.__table__.c[name] for name in _CHECKED),
            working(Side.BUY).label("working_buy"),
            working(Side.SELL).label("working_sell"),
            used_by_others().label("used"),
            block.c.state.label("block_state"),
            block.c.scope.label("block_scope"),
            block.c.reason.label("block_reason"),
        )
        .select_from(one)
        .outerjoin(RiskCheck, stored)
        .outerjoin(ChildOrder, ChildOrder.client_order_id == bindparam("client_order_id"))
        .outerjoin(block, true())
    )


def _of_parent(column: Any) -> Any:
    parent = ParentOrder.order_id == bindparam("order_id")
    return select(column).where(parent).scalar_subquery()


def used_by_others() -> Any:
    """What the parent's other children filled, executed, or may still fill, in base units."""
    other, held = ChildOrder.__table__.alias("other"), Reservation.__table__.alias("held")
    may_fill = other.c.filled_quantity + func.coalesce(held.c.quantity, 0)
    return (
        select(func.coalesce(func.sum(func.greatest(other.c.executed_quantity, may_fill)), 0))
        .select_from(
            other.outerjoin(
                held,
                and_(held.c.client_order_id == other.c.client_order_id, held.c.state == "open"),
            )
        )
        .where(
            other.c.order_id == bindparam("order_id"),
            other.c.client_order_id != bindparam("client_order_id"),
        )
        .scalar_subquery()
    )


_FACTS = _facts()


async def reserve(
    connection: AsyncConnection,
    intent: ChildIntent,
    attempt: int,
    reference_price: Decimal,
    parent_quantity: Decimal,
    limits: Limits,
    compensation: Compensation | None = None,
) -> tuple[str, Denied | None]:
    """See LedgerStore.reserve; `compensation` was read with the execution held."""
    key = PositionKey.of(intent)
    position = await lock_position(connection, key)
    if attempt > 1:  # a late worker may be claiming the attempt before
        await lock_child(connection, intent.client_order_id)
    facts = (await connection.execute(_FACTS, _names(intent, attempt, key))).one()
    if facts.verdict is not None:
        return facts.epoch, _stored_answer(intent, attempt, facts)
    ended = _ended_before(facts)
    _refuse_reopening(intent, attempt, facts, is_over=ended is not None)
    denied = (
        ended
        or _judge(intent, position, facts, reference_price, limits, compensation)
        or check_overshoot(facts.used, intent.quantity, parent_quantity)
    )
    writes = _writes(approved=denied is None, first=attempt == 1)
    values = _values(intent, attempt, denied, compensation)
    await connection.execute(writes, values)
    return facts.epoch, denied


def _names(intent: ChildIntent, attempt: int, key: PositionKey) -> dict[str, Any]:
    return {
        "client_order_id": intent.client_order_id,
        "order_id": intent.order_id,
        "attempt": attempt,
        "scopes": key.scopes,
        **key._asdict(),
    }


def _stored_answer(intent: ChildIntent, attempt: int, facts: Row[Any]) -> Denied | None:
    if facts.verdict == "approved":
        if any(getattr(facts, name) != getattr(intent, name) for name in _CHECKED):
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


def _judge(
    intent: ChildIntent,
    position: Decimal,
    facts: Row[Any],
    reference_price: Decimal,
    limits: Limits,
    compensation: Compensation | None,
) -> Denied | None:
    is_triggered = facts.parent_type is not None and OrderType(facts.parent_type).is_triggered
    was_fired = is_triggered and intent.trigger_price is None
    proposal = proposal_of(intent, reference_price, was_fired=was_fired)
    exposure = Exposure(
        position=position, working_buy=facts.working_buy, working_sell=facts.working_sell
    )
    return check_child(proposal, exposure, block_of(facts), limits, compensation)


# --- writes -------------------------------------------------------------------------------------

_NOT_YET_AT_WORK = [OrderStatus.ACCEPTED.value, OrderStatus.WAITING_PRICE.value]
_NAMES = ("client_order_id", "order_id", "child_index", "generation")
_PLACE = ("strategy_id", "account", "exchange", "symbol", "side")
_PRICED_ANEW = ("time_in_force", "post_only", *(name for name in _CHECKED if name != "side"))
_ANEW = (*_PRICED_ANEW, "compensates", "status", "reason")
_CHILD = (*_NAMES, *_PLACE, *_ANEW)
_RESERVATION = ("client_order_id", *_PLACE)
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
        "detail": "" if denied is None else denied.detail,
    }
    return {f"in_{name}": value for name, value in values.items()}


def _binds(*names: str) -> dict[str, BindParameter[Any]]:
    return {name: bindparam(f"in_{name}") for name in names}


@cache
def _writes(*, approved: bool, first: bool) -> Select[Any]:
    """All writes of one answer as one statement, built once for each of its four forms."""
    check = insert(RiskCheck).values(
        kind="child", subject=bindparam("in_client_order_id"), **_binds("attempt", *_CHECK)
    )
    earlier = [] if first else [_close_earlier()]
    rest = [_attempt(), _reservation(), _parent_works()] if approved else [_release()]
    return in_one_trip(check, _child(), *earlier, *rest)


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
    new = insert(Reservation).values(state="open", **_binds(*_RESERVATION, "quantity"))
    return new.on_conflict_do_update(
        index_elements=[Reservation.client_order_id],
        set_={"quantity": new.excluded.quantity, "state": "open"},
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
