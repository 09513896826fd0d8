"""Executions: registered once, their legs reserved all or none, ended once.

Theory. The execution's row is the lock of all that happens to it as a whole, and is taken before
everything else. Its legs are ordinary orders, with the rules of `store_orders` and `store_reserve`;
a denial of one of them undoes them all, and only the answer stays. Pair locks are taken before
positions, and both in the order of their names, so no two executions can wait for each other.
"""

from typing import Any

from sqlalchemy import Row, Text, Update, cast, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.checks import Compensation
from activities.ledger.child_rows import stored_child
from activities.ledger.models import (
    Attempt,
    ChildOrder,
    ExecutionLock,
    ExecutionRow,
    LedgerMeta,
    ParentOrder,
    RiskCheck,
)
from activities.ledger.results import (
    ChildClosedError,
    ChildMayBeLiveError,
    LedgerError,
    ParentKind,
    PositionKey,
    StoredExecution,
)
from activities.ledger.risk_counters import count_message, disabling
from activities.ledger.risk_locks import lock_for_legs
from activities.ledger.statements import in_one_trip, lock_position
from activities.ledger.store_acceptance import accept_parent
from activities.ledger.store_compensation import compensation_of, lock_execution
from activities.ledger.store_fills import report_of
from activities.ledger.store_orders import open_parent
from activities.ledger.store_reserve import reserve
from activities.ledger.store_unsent import release_forgotten
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.executions import ExecutionStatus
from workflows.domain.orders import Side
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest
from workflows.ports import (
    AcceptLeg,
    AcceptLegs,
    KnownLeg,
    LegsVerdict,
    OpenExecution,
    OpenExecutionKind,
    Reserve,
    Reserved,
)

# --- open ---------------------------------------------------------------------------------------


async def open_execution(connection: AsyncConnection, execution: OpenExecution) -> StoredExecution:
    """See ExecutionStore.open_execution."""
    if await _register(connection, execution):
        return StoredExecution(kind=OpenExecutionKind.NEW)
    stored = await _stored(connection, execution.execution_id)
    if stored is None:
        detail = f"execution_id={execution.execution_id} is an order"
        return StoredExecution(kind=OpenExecutionKind.DENIED, detail=detail)
    kind = _compare(stored, execution)
    if kind is OpenExecutionKind.DENIED:
        detail = f"execution_id={execution.execution_id} body=other"
        return StoredExecution(kind=kind, detail=detail)
    if kind is OpenExecutionKind.FINISHED:
        return StoredExecution(kind=kind, stored=stored.snapshot_text)
    if kind is OpenExecutionKind.NEW:
        return StoredExecution(kind=kind)
    await connection.execute(
        update(ExecutionRow)
        .where(ExecutionRow.execution_id == execution.execution_id)
        .values(adopted_by=execution.run_chain, updated_at=func.now())
    )
    epoch = (await connection.execute(select(LedgerMeta.epoch))).scalar_one()
    legs = await _known_legs(connection, execution.execution_id)
    return StoredExecution(kind=kind, legs=legs, epoch=epoch)


async def _register(connection: AsyncConnection, execution: OpenExecution) -> bool:
    """True for a new id. It belongs to one execution or to one order."""
    values = {
        "execution_id": execution.execution_id,
        "kind": execution.kind.value,
        "run_chain": execution.run_chain,
        "body_hash": execution.body_hash,
        "strategy_id": execution.strategy_id,
        "account": execution.account,
        "venues": list(execution.venues),
        "status": ExecutionStatus.PENDING.value,
    }
    table = ExecutionRow.__table__
    columns: list[Any] = [literal(value, table.c[name].type) for name, value in values.items()]
    is_free = ~exists().where(ParentOrder.order_id == execution.execution_id)
    new = (
        insert(ExecutionRow)
        .from_select([*values, "plan"], select(*columns, _json_of(execution.plan)).where(is_free))
        .on_conflict_do_nothing()
        .returning(ExecutionRow.execution_id)
    )
    return (await connection.execute(new)).first() is not None


def _json_of(text: str) -> Any:
    """JSON text as it is: read by the database alone, no number of it becomes a float."""
    return cast(literal(text, Text), JSONB)


async def _stored(connection: AsyncConnection, execution_id: str) -> Row[Any] | None:
    columns: list[Any] = [
        *ExecutionRow.__table__.columns,
        cast(ExecutionRow.snapshot, Text).label("snapshot_text"),
    ]
    query = (
        select(*columns)
        .where(ExecutionRow.execution_id == execution_id)
        .with_for_update(key_share=True)
    )
    return (await connection.execute(query)).one_or_none()


def _compare(stored: Row[Any], execution: OpenExecution) -> OpenExecutionKind:
    if stored.adopted_by is None and stored.run_chain == execution.run_chain:
        return OpenExecutionKind.NEW
    if (stored.kind, stored.body_hash) != (execution.kind, execution.body_hash):
        return OpenExecutionKind.DENIED
    if ExecutionStatus(stored.status).is_terminal:
        return OpenExecutionKind.FINISHED
    return OpenExecutionKind.ADOPTED


async def _known_legs(connection: AsyncConnection, execution_id: str) -> tuple[KnownLeg, ...]:
    latest = (
        select(func.coalesce(func.max(Attempt.attempt), 1))
        .where(Attempt.client_order_id == ChildOrder.client_order_id)
        .scalar_subquery()
    )
    columns: list[Any] = [
        *ChildOrder.__table__.columns,
        latest.label("attempt"),
        ParentOrder.request,
    ]
    query = (
        select(*columns)
        .join(ParentOrder, ParentOrder.order_id == ChildOrder.order_id)
        .where(ParentOrder.execution_id == execution_id)
        .order_by(ParentOrder.created_at, ParentOrder.order_id)
    )
    rows = (await connection.execute(query)).all()
    return tuple([await _known_leg(connection, row) for row in rows])


async def _known_leg(connection: AsyncConnection, row: Row[Any]) -> KnownLeg:
    child = stored_child(row)
    return KnownLeg(
        order_id=row.order_id,
        request=OrderRequest.model_validate(row.request),
        intent=child.intent,
        attempt=row.attempt,
        status=child.status,
        report=await report_of(connection, row),
    )


# --- accept -------------------------------------------------------------------------------------


_EPOCH = "epoch="


class _Refusal(Exception):  # noqa: N818 - an answer that undoes what was done, not an error
    """One leg was denied, or with None all of them together."""

    def __init__(self, denied: Denied, leg: AcceptLeg | None = None) -> None:
        super().__init__(str(denied))
        self.denied = denied
        self.leg = leg


async def accept_legs(
    connection: AsyncConnection, request: AcceptLegs, limits: Limits
) -> LegsVerdict:
    """See ExecutionStore.accept_legs."""
    execution = await lock_execution(connection, request.execution_id)
    check = await _answer_before(connection, request)
    if check is not None and check.verdict == "denied":
        return _denied_before(request, check)
    if check is not None:
        epoch = check.detail.removeprefix(_EPOCH)
        return LegsVerdict(reserved=await _answer_again(connection, request, limits, epoch))
    try:
        _refuse_ended(execution)
        async with connection.begin_nested():
            reserved = await _accept_all(connection, request, limits)
    except _Refusal as refusal:
        told, writes = None, []
        if refusal.leg is not None:
            told, strategy_id = refusal.leg.order_id, refusal.leg.request.strategy_id
            # what the leg's own check wrote of it was undone
            writes = await disabling(connection, strategy_id, refusal.denied)
        await connection.execute(_audit(request, refusal))
        await _count_messages(connection, request)
        for write in writes:
            await connection.execute(write)
        return LegsVerdict(denied=refusal.denied, denied_leg=told)
    await _count_messages(connection, request)
    return LegsVerdict(reserved=reserved)


def _refuse_ended(execution: Row[Any]) -> None:
    if ExecutionStatus(execution.status).is_terminal:
        detail = f"the execution ended {execution.status}"
        raise _Refusal(Denied(code=DenialCode.ALREADY_TERMINAL, detail=detail))


async def _answer_before(connection: AsyncConnection, request: AcceptLegs) -> Row[Any] | None:
    columns: list[Any] = list(RiskCheck.__table__.columns)
    query = select(*columns).where(
        RiskCheck.kind == "execution", RiskCheck.subject == _subject(request)
    )
    return (await connection.execute(query)).one_or_none()


def _subject(request: AcceptLegs) -> str:
    return " ".join(leg.order_id for leg in request.legs)


def _denied_before(request: AcceptLegs, check: Row[Any]) -> LegsVerdict:
    denied = Denied(code=DenialCode(check.code), field=check.field, detail=check.detail)
    leg = request.legs[check.attempt - 1].order_id if check.attempt else None
    return LegsVerdict(denied=denied, denied_leg=leg)


def _audit(request: AcceptLegs, refusal: _Refusal | None, epoch: str = "") -> Insert:
    """The answer to all legs; an approval tells the ledger's incarnation that gave it."""
    denied = None if refusal is None else refusal.denied
    leg = None if refusal is None else refusal.leg
    return insert(RiskCheck).values(
        kind="execution",
        subject=_subject(request),
        attempt=0 if leg is None else request.legs.index(leg) + 1,
        verdict="approved" if denied is None else "denied",
        code=None if denied is None else denied.code.value,
        field=None if denied is None else denied.field,
        detail=f"{_EPOCH}{epoch}" if denied is None else denied.detail,
    )


async def _accept_all(
    connection: AsyncConnection, request: AcceptLegs, limits: Limits
) -> tuple[Reserved, ...]:
    """Raises _Refusal."""
    for key in sorted(request.locks):
        await _take_lock(connection, key, request.execution_id)
    await _hold(connection, request)
    await _release_forgotten(connection, request)
    reserved = tuple(
        [await _accept_leg(connection, request.execution_id, leg, limits) for leg in request.legs]
    )
    audit = _audit(request, None, reserved[0].epoch if reserved else "")
    await connection.execute(in_one_trip(audit, _run(request.execution_id)))
    return reserved


def _run(execution_id: str) -> Update:
    return (
        update(ExecutionRow)
        .where(
            ExecutionRow.execution_id == execution_id,
            ExecutionRow.status == ExecutionStatus.PENDING.value,
        )
        .values(status=ExecutionStatus.RUNNING.value, accepted_at=func.now(), updated_at=func.now())
    )


async def _take_lock(connection: AsyncConnection, key: str, execution_id: str) -> None:
    """Raises _Refusal while another execution holds it."""
    lock = insert(ExecutionLock).values(key=key, execution_id=execution_id)
    holder = select(ExecutionLock.execution_id).where(ExecutionLock.key == key)
    while True:
        taken = lock.on_conflict_do_nothing().returning(ExecutionLock.key)
        if (await connection.execute(taken)).first():
            return
        held_by = (await connection.execute(holder)).scalar()
        if held_by == execution_id:
            return
        if held_by is not None:  # else it was released between the two statements
            detail = f"pair={key} held_by={held_by}"
            raise _Refusal(Denied(code=DenialCode.PAIR_BUSY, detail=detail))


async def _hold(connection: AsyncConnection, request: AcceptLegs) -> None:
    """What all legs share with others, in the order of everybody."""
    places = [_place_of(leg) for leg in request.legs]
    for key in sorted({key for key, _ in places}):
        await lock_position(connection, key)
    await lock_for_legs(connection, places)


def _place_of(leg: AcceptLeg) -> tuple[PositionKey, Side]:
    return PositionKey.of(leg.first.intent), leg.first.intent.side


async def _count_messages(connection: AsyncConnection, request: AcceptLegs) -> None:
    """One for each leg, the accounts in one order; refused ones count too."""
    for key, _ in sorted((_place_of(leg) for leg in request.legs), key=_account):
        await connection.execute(count_message(key.exchange, key.account))


def _account(place: tuple[PositionKey, Side]) -> tuple[str, str]:
    return place[0].exchange, place[0].account


async def _release_forgotten(connection: AsyncConnection, request: AcceptLegs) -> None:
    """An execution has one compensation at a time: one that was never sent is not remembered.

    The task that asked for it was lost, or its workflow was, before it was told the answer.
    """
    asking = [leg.first.intent.client_order_id for leg in request.legs if leg.first.compensates]
    if asking:
        await connection.execute(release_forgotten(request.execution_id, asking))


async def _accept_leg(
    connection: AsyncConnection, execution_id: str, leg: AcceptLeg, limits: Limits
) -> Reserved:
    """Register, check and reserve one leg. Raises _Refusal."""
    first, held = leg.first, None
    opened = await open_parent(
        connection, leg.order_id, execution_id, leg.request, execution_id=execution_id
    )
    if opened.kind is not ParentKind.NEW:
        raise LedgerError(f"leg {leg.order_id} is known otherwise: {opened.detail}")
    if first.compensates not in (None, execution_id):
        raise LedgerError(f"leg {leg.order_id} compensates another execution")
    if first.compensates is not None:
        held = await compensation_of(
            connection, first.compensates, first.intent.symbol, first.intent.client_order_id
        )
    denied = await accept_parent(
        connection, leg.order_id, leg.request, first.reference_price, limits, held
    )
    if denied is not None:
        raise _Refusal(denied, leg)
    try:
        epoch, denied = await _reserve(connection, first, limits, held)
    except (ChildMayBeLiveError, ChildClosedError) as error:
        # it was asked for before, in other company: a task that is done again
        conflict = Denied(code=DenialCode.IDEMPOTENCY_CONFLICT, detail=str(error))
        raise _Refusal(conflict, leg) from error
    if denied is not None:
        raise _Refusal(denied, leg)
    return Reserved(epoch=epoch)


async def _reserve(
    connection: AsyncConnection, first: Reserve, limits: Limits, held: Compensation | None = None
) -> tuple[str, Denied | None]:
    return await reserve(
        connection,
        first.intent,
        first.attempt,
        first.reference_price,
        first.parent_quantity,
        limits,
        held,
        counts=False,
    )


async def _answer_again(
    connection: AsyncConnection, request: AcceptLegs, limits: Limits, epoch: str
) -> tuple[Reserved, ...]:
    """The answers that were given before, by the ledger's incarnation `epoch`.

    A task that is done again may ask for other figures. Then none of its legs is what was checked,
    and each must be resolved: nothing goes out that another leg does not match. The epoch of then,
    not of now: a ledger that was restored meanwhile may have forgotten that a leg was claimed.
    """
    await _hold(connection, request)
    answers = []
    try:
        for leg in request.legs:
            now, denied = await _reserve(connection, leg.first, limits)
            answers.append(Reserved(epoch=now, denied=denied))
    except ChildMayBeLiveError:
        return tuple(
            Reserved(epoch=epoch, resolve_attempt=leg.first.attempt) for leg in request.legs
        )
    return tuple(answers)
