"""Acceptance: a whole order is checked once, with all locks of its decision held.

Rule: the answer is stored as a risk check and given again. What a whole order would need is checked
and nothing of it reserved: its children reserve.
"""

from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Double,
    Numeric,
    Row,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Compensation, Controls, check_parent
from activities.ledger.control_models import RiskLimit
from activities.ledger.models import (
    AccountReadiness,
    ParentOrder,
    Position,
    RiskCheck,
)
from activities.ledger.results import PositionKey
from activities.ledger.risk_counters import count_message, count_order, disable
from activities.ledger.risk_facts import control_columns, controls_of, limits_of, order_columns
from activities.ledger.risk_locks import binds_of, lock_for_order, of_scopes
from activities.ledger.statements import (
    block_of,
    exposure_of,
    in_one_trip,
    strictest_state,
    working,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.limits import LimitName
from workflows.domain.orders import Side
from workflows.domain.risk import Limits, Proposal
from workflows.messages import OrderRequest
from workflows.names import is_made_id

_SAME = ("account", "exchange", "symbol", "side", "order_type", "quantity")
_SAME_TRIGGERS = ("stop_price", "take_profit_price", "oco_limit_price", "activation_price")


def _accept_facts() -> Select[Any]:
    """The parent, held until the end, with all that its checks need."""
    block = strictest_state().lateral("block")
    ready = exists().where(
        AccountReadiness.exchange == ParentOrder.exchange,
        AccountReadiness.account == ParentOrder.account,
        AccountReadiness.state == "READY",
        AccountReadiness.ready_until > func.clock_timestamp(),
    )
    return (
        select(
            ParentOrder.status,
            ParentOrder.code,
            ParentOrder.field,
            ParentOrder.reason,
            func.coalesce(Position.quantity, 0).label("position"),
            working(Side.BUY).label("working_buy"),
            working(Side.SELL).label("working_sell"),
            block.c.state.label("block_state"),
            block.c.scope.label("block_scope"),
            block.c.reason.label("block_reason"),
            block.c.code.label("block_code"),
            *control_columns(),
            *order_columns(),
            _same_as().label("same_as"),
            ready.label("account_ready"),
        )
        .outerjoin(
            Position,
            and_(
                Position.strategy_id == ParentOrder.strategy_id,
                Position.account == ParentOrder.account,
                Position.exchange == ParentOrder.exchange,
                Position.symbol == ParentOrder.symbol,
            ),
        )
        .outerjoin(block, true())
        .where(ParentOrder.order_id == bindparam("order_id"))
        .with_for_update(key_share=True, of=ParentOrder)
    )


def _same_as() -> Any:
    """An order that was accepted and is the same, begun within the window around this one."""
    other = ParentOrder.__table__.alias("other")
    mine = ParentOrder.__table__
    strictest = select(func.max(RiskLimit.value)).where(
        of_scopes(RiskLimit.scope), RiskLimit.name == LimitName.DUPLICATE_WINDOW_S.value
    )
    seconds = func.coalesce(strictest.scalar_subquery(), bindparam("window_s", type_=Numeric))
    window = cast(seconds, Double) * literal_column("interval '1 second'")
    return (
        select(other.c.order_id)
        .where(
            ~bindparam("is_exempt", type_=Boolean),
            other.c.strategy_id == mine.c.strategy_id,
            other.c.created_at > mine.c.created_at - window,
            other.c.created_at < mine.c.created_at + window,
            other.c.order_id != mine.c.order_id,
            other.c.accepted_at.is_not(None),
            other.c.execution_id.is_(None),
            *(other.c[name] == mine.c[name] for name in _SAME),
            other.c.price.is_not_distinct_from(mine.c.price),
            *(
                other.c.request[name].astext.is_not_distinct_from(mine.c.request[name].astext)
                for name in _SAME_TRIGGERS
            ),
        )
        .correlate(mine)
        .limit(1)
        .scalar_subquery()
    )


_ACCEPT_FACTS = _accept_facts()


async def accept_parent(
    connection: AsyncConnection,
    order_id: str,
    request: OrderRequest,
    reference_price: Decimal,
    limits: Limits,
    compensation: Compensation | None = None,
) -> Denied | None:
    """See LedgerStore.accept_parent; `compensation` was read with the execution held.

    What `lock_for_order` locks is held afterwards.
    """
    key = PositionKey(request.strategy_id, request.account, request.exchange, request.symbol)
    await lock_for_order(connection, key, request.side)
    names = {
        "order_id": order_id,
        "client_order_id": "",
        "is_exempt": bool(request.allow_similar) or not is_made_id(order_id),
        "window_s": limits.duplicate_window_s,
        **binds_of(key, request.side),
    }
    facts = (await connection.execute(_ACCEPT_FACTS, names)).one()
    if facts.status == OrderStatus.DENIED:
        return Denied(code=DenialCode(facts.code), field=facts.field, detail=facts.reason)
    if facts.status != OrderStatus.PENDING:
        return None
    controls = await controls_of(connection, facts, key, request.side)
    denied = judge(
        facts, request, reference_price, limits_of(facts, key, limits), controls, compensation
    )
    told = _told(order_id, key, controls, denied, reference_price)
    await connection.execute(_verdict(approved=denied is None), told)
    if denied is not None and denied.code is DenialCode.STRATEGY_DISABLED and not facts.disabled:
        for write in disable(key.strategy_id, denied.detail):
            await connection.execute(write)
    return denied


def proposal_of(request: OrderRequest, reference_price: Decimal) -> Proposal:
    """A whole order as the checks see it."""
    return Proposal(
        side=request.side,
        quantity=request.quantity,
        price=request.price,
        reference_price=reference_price,
        trigger_price=request.stop_price or request.take_profit_price or request.activation_price,
        limit_leg_price=request.oco_limit_price,
        reduce_only=bool(request.reduce_only),
    )


def judge(
    facts: Row[Any],
    request: OrderRequest,
    reference_price: Decimal,
    limits: Limits,
    controls: Controls,
    compensation: Compensation | None = None,
) -> Denied | None:
    """The verdict on a whole order, by what `gate` or the acceptance's own query has read.

    `limits` are those that bind it.
    """
    return check_parent(
        proposal_of(request, reference_price),
        exposure_of(facts),
        block_of(facts),
        limits,
        order_type=request.order_type,
        account_ready=facts.account_ready,
        compensation=compensation,
        controls=controls,
    )


@cache
def _verdict(*, approved: bool) -> Select[Any]:
    """The answer as one statement, built once for each of its two forms."""
    told = ("detail",) if approved else ("code", "field", "detail")
    check = insert(RiskCheck).values(
        kind="parent",
        subject=bindparam("in_order_id"),
        attempt=0,
        verdict="approved" if approved else "denied",
        **{name: bindparam(f"in_{name}") for name in told},
    )
    values: dict[str, Any] = {"updated_at": func.now()}
    if approved:
        values |= {"status": OrderStatus.ACCEPTED.value, "accepted_at": func.now()}
        values["arrival_price"] = bindparam("in_reference")
    else:
        values |= {name: bindparam(f"in_{name}") for name in ("code", "field")}
        values |= {"status": OrderStatus.DENIED.value, "reason": bindparam("in_detail")}
    parent = update(ParentOrder).where(ParentOrder.order_id == bindparam("in_order_id"))
    # an order that is accepted is counted as a message when its children are
    counted = (
        count_order(bindparam("in_strategy_id"))
        if approved
        else count_message(bindparam("in_exchange"), bindparam("in_account"))
    )
    return in_one_trip(check, parent.values(values), counted)


def _told(
    order_id: str,
    key: PositionKey,
    controls: Controls,
    denied: Denied | None,
    reference_price: Decimal,
) -> dict[str, Any]:
    """The binds of `_verdict`."""
    return {
        "in_order_id": order_id,
        "in_code": None if denied is None else denied.code.value,
        "in_field": None if denied is None else denied.field,
        "in_detail": controls.told if denied is None else denied.detail,
        "in_reference": reference_price,
        "in_strategy_id": key.strategy_id,
        "in_exchange": key.exchange,
        "in_account": key.account,
    }
