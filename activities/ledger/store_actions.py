"""Steering in the ledger: who changed a running order and when, and what the order is since.

Theory. The order's row is held, so two actions of one order never mix. An action is known by its
place: the index that the workflow gives it. A workflow that was set back, or that lost a task, may
take another action at a place where one is stored already; the newer row then counts, and what
came after the older one counts no more. So `quantity`, `price` and the pause of an order follow
from the actions that count, and are worked out anew with each that is recorded. Shown among them is
what an operator decided of an unknown child: it changes nothing of the order itself.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, exists, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import OF_RESUMED_GUARD, ended
from activities.ledger.checks import check_amendment
from activities.ledger.control_models import OperatorVerdict
from activities.ledger.models import ChildOrder, ParentOrder
from activities.ledger.reserve_facts import used_by_others
from activities.ledger.results import PositionKey, UnknownOrderError
from activities.ledger.risk_facts import control_columns, controls_of, limits_of
from activities.ledger.risk_locks import binds_of
from activities.ledger.statements import block_of, exposure_of, gate
from activities.ledger.store_acceptance import proposal_of
from activities.ledger.watch_models import OrderAction
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import minus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest
from workflows.ports import RecordAction, RecordedAction
from workflows.steering_messages import (
    MAX_ACTIONS_SHOWN,
    ActionKind,
    ActionView,
    Verdict,
    told_verdict,
)

_COLUMNS: list[Any] = list(OrderAction.__table__.columns)
_ROW = OrderAction.__table__
_CAN_PAUSE = [
    status.value
    for status in (
        OrderStatus.ACCEPTED,
        OrderStatus.WORKING,
        OrderStatus.WAITING_PRICE,
        OrderStatus.SETTLING,
    )
]
_NOBODY = ""
_NOTHING = Decimal(0)
_GATE = gate().add_columns(used_by_others().label("used"), *control_columns())


def counts() -> ColumnElement[bool]:
    """True for actions that none at the same or an earlier place came after."""
    later = _ROW.alias("later")
    return ~exists().where(
        later.c.order_id == _ROW.c.order_id,
        later.c.id > _ROW.c.id,
        later.c.action_index <= _ROW.c.action_index,
    )


async def record(
    connection: AsyncConnection, request: RecordAction, limits: Limits
) -> RecordedAction:
    """See SteeringStore.record_action."""
    held = select(*ParentOrder.__table__.columns).where(ParentOrder.order_id == request.order_id)
    parent = (await connection.execute(held.with_for_update(key_share=True))).one_or_none()
    if parent is None:
        raise UnknownOrderError(f"the ledger holds no order {request.order_id}")
    known = await _newest(connection, request.order_id, _ROW.c.action_index == request.index)
    if known is not None and _is_same(known, request):
        return RecordedAction(denied=_verdict(known), at=known.at.isoformat())
    before = await _terms_before(connection, parent, request.index)
    denied = await _judge(connection, parent, before, request, limits)
    new = insert(OrderAction).values(_values(request, denied)).returning(OrderAction.at)
    at = (await connection.execute(new)).scalar_one()
    if not OrderStatus(parent.status).is_terminal:
        terms = request.request if denied is None else None
        await _apply(connection, parent, terms or before, request.reason)
    if denied is None and request.kind is ActionKind.RESUME:
        await connection.execute(ended(OF_RESUMED_GUARD, request.order_id))
    return RecordedAction(denied=denied, at=at.isoformat())


def _is_same(row: Row[Any], request: RecordAction) -> bool:
    stored = (row.kind, row.requested_by, row.reason, row.detail, row.request)
    body = None if request.request is None else _body(request.request)
    return stored == (request.kind, request.by, request.reason, request.detail, body)


def _verdict(row: Row[Any]) -> Denied | None:
    if row.verdict == "approved":
        return None
    return Denied(code=DenialCode(row.code), field=row.field, detail=row.denial)


def _body(request: OrderRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude_none=True)


def _values(request: RecordAction, denied: Denied | None) -> dict[str, Any]:
    return {
        "order_id": request.order_id,
        "action_index": request.index,
        "kind": request.kind.value,
        "requested_by": request.by,
        "reason": request.reason,
        "detail": request.detail,
        "request": null() if request.request is None else _body(request.request),
        "verdict": "approved" if denied is None else "denied",
        "code": None if denied is None else denied.code.value,
        "field": None if denied is None else denied.field,
        "denial": "" if denied is None else denied.detail,
    }


async def _newest(
    connection: AsyncConnection, order_id: str, *which: ColumnElement[bool]
) -> Row[Any] | None:
    """The last action of these that counts."""
    query = (
        select(*_COLUMNS)
        .where(_ROW.c.order_id == order_id, counts(), *which)
        .order_by(_ROW.c.action_index.desc())
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


# --- what the order is --------------------------------------------------------------------------


async def _terms_before(connection: AsyncConnection, parent: Row[Any], index: int) -> OrderRequest:
    """The order as the actions before this place made it."""
    amended = await _newest(
        connection,
        parent.order_id,
        _ROW.c.action_index < index,
        _ROW.c.kind == ActionKind.AMEND.value,
        _ROW.c.verdict == "approved",
    )
    return OrderRequest.model_validate(parent.request if amended is None else amended.request)


async def _is_paused(connection: AsyncConnection, order_id: str) -> bool:
    kinds = [ActionKind.PAUSE.value, ActionKind.RESUME.value]
    approved = _ROW.c.verdict == "approved"
    last = await _newest(connection, order_id, _ROW.c.kind.in_(kinds), approved)
    return last is not None and last.kind == ActionKind.PAUSE


async def _apply(
    connection: AsyncConnection, parent: Row[Any], terms: OrderRequest, reason: str
) -> None:
    """The order's row as the actions that count make it."""
    body = _body(terms)
    values: dict[str, Any] = {
        "quantity": terms.quantity,
        "price": terms.price,
        "amended_request": null() if body == parent.request else body,
        "updated_at": func.now(),
    }
    if await _is_paused(connection, parent.order_id):
        if parent.status in _CAN_PAUSE:
            values |= {"status": OrderStatus.PAUSED.value, "reason": reason}
    elif parent.status == OrderStatus.PAUSED:
        values |= {"status": OrderStatus.WORKING.value, "reason": ""}
    await connection.execute(
        update(ParentOrder).where(ParentOrder.order_id == parent.order_id).values(values)
    )


async def _judge(
    connection: AsyncConnection,
    parent: Row[Any],
    before: OrderRequest,
    request: RecordAction,
    limits: Limits,
) -> Denied | None:
    """Limits for what an amendment adds; the other actions add nothing."""
    if OrderStatus(parent.status).is_terminal:
        return Denied(code=DenialCode.ALREADY_TERMINAL, detail=f"the order is {parent.status}")
    wanted = request.request
    if wanted is None or (wanted.quantity <= before.quantity and wanted.price == before.price):
        return None
    key = PositionKey(wanted.strategy_id, wanted.account, wanted.exchange, wanted.symbol)
    names = {
        **binds_of(key, wanted.side),
        "of_exchange": key.exchange,
        "of_account": key.account,
        "order_id": parent.order_id,
        "client_order_id": _NOBODY,
    }
    facts = (await connection.execute(_GATE, names)).one()
    left = wanted.model_copy(update={"quantity": max(minus(wanted.quantity, facts.used), _NOTHING)})
    return check_amendment(
        proposal_of(left, request.reference_price or _NOTHING),
        exposure_of(facts),
        block_of(facts),
        limits_of(facts, key, limits),
        order_type=wanted.order_type,
        account_ready=facts.account_ready,
        is_enlarged=wanted.quantity > before.quantity,
        controls=await controls_of(connection, facts, key, wanted.side),
    )


# --- what is shown ------------------------------------------------------------------------------


async def actions_of(connection: AsyncConnection, order_id: str) -> tuple[ActionView, ...]:
    """The newest actions that count and verdicts, oldest first; a denied action says so."""
    query = (
        select(*_COLUMNS, func.count().over().label("total"))
        .where(_ROW.c.order_id == order_id, counts())
        .order_by(_ROW.c.action_index.desc())
        .limit(MAX_ACTIONS_SHOWN)
    )
    steered = (await connection.execute(query)).all()
    decided = (await connection.execute(_VERDICTS, {"of_order": order_id})).all()
    told = [(row.at, _action_view(row)) for row in reversed(steered)]
    told += [(row.decided_at, _verdict_view(row)) for row in reversed(decided)]
    told.sort(key=lambda each: each[0])
    total = sum(rows[0].total for rows in (steered, decided) if rows)
    shown = [view for _, view in told[-MAX_ACTIONS_SHOWN:]]
    first = total - len(shown)
    return tuple(
        view.model_copy(update={"index": first + place}) for place, view in enumerate(shown)
    )


_OF_VERDICT: list[Any] = [
    *OperatorVerdict.__table__.columns,
    ChildOrder.child_index,
    func.count().over().label("total"),
]
_VERDICTS = (
    select(*_OF_VERDICT)
    .join(ChildOrder, ChildOrder.client_order_id == OperatorVerdict.client_order_id)
    .where(ChildOrder.order_id == bindparam("of_order"))
    .order_by(OperatorVerdict.decided_at.desc())
    .limit(MAX_ACTIONS_SHOWN)
)


def _verdict_view(row: Row[Any]) -> ActionView:
    return ActionView(
        index=0,
        kind=ActionKind.RESOLVE,
        at=row.decided_at.isoformat(),
        requested_by=row.decided_by,
        reason=row.reason,
        detail=told_verdict(row.child_index, Verdict(row.verdict), row.venue_order_id),
    )


def _action_view(row: Row[Any]) -> ActionView:
    return ActionView(
        index=0,
        kind=ActionKind(row.kind),
        at=row.at.isoformat(),
        requested_by=row.requested_by,
        reason=row.reason,
        detail=row.detail if row.code is None else f"{row.detail} ({row.code})",
    )
