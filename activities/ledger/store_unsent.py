"""Giving up what nobody can have sent: a reservation that its workflow never heard of.

Rule: an attempt that was claimed, and is not proven absent, may be at the venue and stays. A claim
and a release of the same child wait for each other, and who comes second finds that it is too late.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, exists, func, literal, select, update

from activities.ledger.models import Attempt, ChildOrder, Reservation
from activities.ledger.results import MAY_BE_LIVE, AttemptState
from workflows.domain.lifecycle import ChildStatus

_UNSENT = [ChildStatus.NEW.value, ChildStatus.READY.value]


def release_unsent(order_id: str | BindParameter[str]) -> Select[Any]:
    """Give up every child of a finished parent that no attempt can have sent."""
    return _give_up(ChildOrder.order_id == order_id, reason="the order ended")


def release_forgotten(execution_id: str, asking: Sequence[str]) -> Select[Any]:
    """Give up every unsent compensation of an execution, but those children that ask now.

    The positions of those that ask are locked before: a child is never locked before a position
    that the same transaction still needs.
    """
    others = ChildOrder.client_order_id.not_in(asking)
    return _give_up(
        ChildOrder.compensates == execution_id, others, reason="another compensation was chosen"
    )


def _give_up(*which: ColumnElement[bool], reason: str) -> Select[Any]:
    may_be_live = exists().where(
        Attempt.client_order_id == ChildOrder.client_order_id,
        Attempt.state.in_(MAY_BE_LIVE),
    )
    unsent = (
        update(ChildOrder)
        .where(
            *which,
            ChildOrder.status.in_(_UNSENT),
            ChildOrder.venue_order_id.is_(None),
            ~may_be_live,
        )
        .values(status=ChildStatus.NOT_SENT.value, reason=reason, updated_at=func.now())
        .returning(ChildOrder.client_order_id)
        .cte("unsent")
    )
    closed = (
        update(Attempt)
        .where(
            Attempt.client_order_id == unsent.c.client_order_id,
            Attempt.state == AttemptState.READY.value,
        )
        .values(state=AttemptState.CLOSED.value)
        .cte("closed")
    )
    released = (
        update(Reservation)
        .where(Reservation.client_order_id == unsent.c.client_order_id)
        .values(state="released")
        .cte("released")
    )
    return select(literal(1)).add_cte(unsent, closed, released)
