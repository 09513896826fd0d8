"""What reserving a child reads of it, of its order and of all controls, in one row."""

from typing import Any

from sqlalchemy import (
    Select,
    and_,
    bindparam,
    func,
    literal,
    select,
    true,
)

from activities.ledger.models import (
    Attempt,
    ChildOrder,
    LedgerMeta,
    ParentOrder,
    Position,
    Reservation,
    RiskCheck,
)
from activities.ledger.results import MAY_BE_LIVE
from activities.ledger.risk_facts import control_columns
from activities.ledger.risk_locks import of_position
from activities.ledger.statements import strictest_state, working
from workflows.domain.orders import Side

CHECKED = (
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
    position = select(Position.quantity).where(of_position())
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
            *(ChildOrder.__table__.c[name] for name in CHECKED),
            func.coalesce(position.scalar_subquery(), 0).label("position"),
            working(Side.BUY).label("working_buy"),
            working(Side.SELL).label("working_sell"),
            used_by_others().label("used"),
            _siblings().label("siblings"),
            *control_columns(),
            block.c.state.label("block_state"),
            block.c.scope.label("block_scope"),
            block.c.reason.label("block_reason"),
            block.c.code.label("block_code"),
        )
        .select_from(one)
        .outerjoin(RiskCheck, stored)
        .outerjoin(ChildOrder, ChildOrder.client_order_id == bindparam("client_order_id"))
        .outerjoin(block, true())
    )


def _of_parent(column: Any) -> Any:
    parent = ParentOrder.order_id == bindparam("order_id")
    return select(column).where(parent).scalar_subquery()


def _siblings() -> Any:
    """How many other children the parent has."""
    return (
        select(func.count())
        .select_from(ChildOrder)
        .where(
            ChildOrder.order_id == bindparam("order_id"),
            ChildOrder.client_order_id != bindparam("client_order_id"),
        )
        .scalar_subquery()
    )


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


RESERVE_FACTS = _facts()
