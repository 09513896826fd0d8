"""Parent orders: registered under the caller's id, accepted or denied once, finished once."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, exists, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Compensation, check_parent
from activities.ledger.models import (
    AccountReadiness,
    ExecutionRow,
    ParentOrder,
    Position,
    RiskCheck,
)
from activities.ledger.results import OpenParent, ParentKind, PositionKey
from activities.ledger.statements import (
    alarm,
    block_of,
    exposure_of,
    in_one_trip,
    strictest_state,
    working,
)
from activities.ledger.store_unsent import release_unsent
from activities.ledger.store_watches import disarm_all_of
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.risk import Limits, Proposal
from workflows.messages import OrderRequest, OrderSnapshot

_TERMINAL = [status.value for status in OrderStatus if status.is_terminal]


# --- open ---------------------------------------------------------------------------------------


async def open_parent(
    connection: AsyncConnection,
    order_id: str,
    run_chain: str,
    request: OrderRequest,
    *,
    execution_id: str | None = None,
) -> OpenParent:
    """See LedgerStore.open_parent; with `execution_id` the order is a leg of that execution."""
    body_hash = request.body_hash()
    values = {
        "run_chain": run_chain,
        "body_hash": body_hash,
        "execution_id": execution_id,
        **_columns(order_id, request),
    }
    table = ParentOrder.__table__
    # an id belongs to one order or to one execution
    is_free = ~exists().where(ExecutionRow.execution_id == order_id)
    row = select(*(literal(value, table.c[name].type) for name, value in values.items()))
    new = (
        insert(ParentOrder)
        .from_select(list(values), row.where(is_free))
        .on_conflict_do_nothing()
        .returning(ParentOrder.order_id)
    )
    if (await connection.execute(new)).first():
        return OpenParent(kind=ParentKind.NEW)
    found = await connection.execute(select(*table.columns).where(ParentOrder.order_id == order_id))
    stored = found.one_or_none()
    if stored is None:
        detail = f"order_id={order_id} is an execution"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    return _compare(stored, run_chain, body_hash)


def _columns(order_id: str, request: OrderRequest) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "strategy_id": request.strategy_id,
        "account": request.account,
        "exchange": request.exchange,
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "quantity": request.quantity,
        "price": request.price,
        "priority": request.priority,
        "request": request.model_dump(mode="json", exclude_none=True),
        "status": OrderStatus.PENDING.value,
    }


def _compare(stored: Row[Any], run_chain: str, body_hash: str) -> OpenParent:
    if stored.run_chain == run_chain:
        return OpenParent(kind=ParentKind.NEW)
    if stored.body_hash != body_hash:
        detail = f"order_id={stored.order_id} body=other"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    if not OrderStatus(stored.status).is_terminal:
        # its workflow was terminated or lost: what it left at the venue is not settled
        detail = f"order_id={stored.order_id} status={stored.status} run=other"
        return OpenParent(kind=ParentKind.CONFLICT, detail=detail)
    return OpenParent(kind=ParentKind.FINISHED, stored=snapshot_of(stored))


def snapshot_of(row: Row[Any]) -> OrderSnapshot:
    """The order as its workflow last stored it; the row's own columns where it never did."""
    stored = row.snapshot or {}
    known = {
        "order_id": row.order_id,
        "order_type": row.order_type,
        "strategy_id": row.strategy_id,
        "account": row.account,
        "exchange": row.exchange,
        "symbol": row.symbol,
        "side": row.side,
        "quantity": row.quantity,
        "price": row.price,
        "remaining_quantity": row.quantity,
        "reason": row.reason,
        "created_at": row.created_at.isoformat(),
        **stored,
        **_amended(row, stored),
        "status": row.status,
        "code": row.code,
        "field": row.field,
        "updated_at": row.updated_at.isoformat(),
    }
    return OrderSnapshot.model_validate(known)


def _amended(row: Row[Any], stored: dict[str, Any]) -> dict[str, Any]:
    """What an amendment changed since the workflow told of the order."""
    if row.amended_request is None:
        return {}
    with exact():
        left = row.quantity - Decimal(stored.get("filled_quantity", 0))
    return {"quantity": row.quantity, "price": row.price, "remaining_quantity": left}


# --- accept -------------------------------------------------------------------------------------


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


_ACCEPT_FACTS = _accept_facts()


async def accept_parent(
    connection: AsyncConnection,
    order_id: str,
    request: OrderRequest,
    reference_price: Decimal,
    limits: Limits,
    compensation: Compensation | None = None,
) -> Denied | None:
    """See LedgerStore.accept_parent; `compensation` was read with the execution held."""
    key = PositionKey(request.strategy_id, request.account, request.exchange, request.symbol)
    names = {"order_id": order_id, "client_order_id": "", "scopes": key.scopes, **key._asdict()}
    facts = (await connection.execute(_ACCEPT_FACTS, names)).one()
    if facts.status == OrderStatus.DENIED:
        return Denied(code=DenialCode(facts.code), field=facts.field, detail=facts.reason)
    if facts.status != OrderStatus.PENDING:
        return None
    denied = judge(facts, request, reference_price, limits, compensation)
    await connection.execute(_verdict(order_id, denied))
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
    compensation: Compensation | None = None,
) -> Denied | None:
    """The verdict on a whole order, by what `gate` or the acceptance's own query has read."""
    return check_parent(
        proposal_of(request, reference_price),
        exposure_of(facts),
        block_of(facts),
        limits,
        order_type=request.order_type,
        account_ready=facts.account_ready,
        compensation=compensation,
    )


def _verdict(order_id: str, denied: Denied | None) -> Select[Any]:
    values: dict[str, Any] = {"updated_at": func.now()}
    check = {"kind": "parent", "subject": order_id, "attempt": 0}
    if denied is None:
        values |= {"status": OrderStatus.ACCEPTED.value, "accepted_at": func.now()}
        check["verdict"] = "approved"
    else:
        values["status"] = OrderStatus.DENIED.value
        values |= {"code": denied.code.value, "field": denied.field, "reason": denied.detail}
        check |= {"verdict": "denied", "code": denied.code.value}
        check |= {"field": denied.field, "detail": denied.detail}
    return in_one_trip(
        insert(RiskCheck).values(check),
        update(ParentOrder).where(ParentOrder.order_id == order_id).values(values),
    )


# --- save ---------------------------------------------------------------------------------------


async def save_order(
    connection: AsyncConnection, snapshot: OrderSnapshot, status: OrderStatus
) -> OrderSnapshot | None:
    """See LedgerStore.save_order."""
    values: dict[str, Any] = {
        "status": status.value,
        "filled_quantity": snapshot.filled_quantity,
        "reason": snapshot.reason,
        "updated_at": func.now(),
    }
    if status.is_terminal:  # until then its children are told from their own rows
        values |= {
            "snapshot": snapshot.model_dump(mode="json", exclude_none=True),
            "code": None if snapshot.code is None else snapshot.code.value,
            "field": snapshot.field,
            "finished_at": func.now(),
        }
    open_still = ParentOrder.status.not_in(_TERMINAL)
    # a denial of accept_parent is terminal before its workflow has told the end
    untold = and_(ParentOrder.status == status.value, ParentOrder.finished_at.is_(None))
    saved = await connection.execute(
        update(ParentOrder)
        .where(ParentOrder.order_id == snapshot.order_id, open_still | untold)
        .values(values)
        .returning(ParentOrder.order_id)
    )
    stored = None
    if saved.first() is None:
        stored = await _end_before(connection, snapshot.order_id, status)
    if status is OrderStatus.FAILED:
        await connection.execute(alarm("ORDER_FAILED", snapshot.order_id, snapshot.reason))
    if status.is_terminal:
        await connection.execute(release_unsent(snapshot.order_id))
        await connection.execute(disarm_all_of(snapshot.order_id))
    return stored


async def _end_before(
    connection: AsyncConnection, order_id: str, status: OrderStatus
) -> OrderSnapshot | None:
    """A finished order is left as it is; one that is not there at all is news to a human."""
    found = await connection.execute(
        select(*ParentOrder.__table__.columns).where(ParentOrder.order_id == order_id)
    )
    row = found.first()
    if row is None:
        await connection.execute(alarm("UNKNOWN_ORDER", order_id, f"status={status}"))
        return None
    return snapshot_of(row)
