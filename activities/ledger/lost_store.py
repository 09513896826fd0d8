"""Orders whose workflow was lost: what they left, their end, and an operator's word on a child.

Rule: each method is one transaction and may be called again. Nothing is given up here that may be
at a venue: what was sent is left to whoever asks the venue.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import aliased

from activities.ledger.audit import audit
from activities.ledger.checks import check_block
from activities.ledger.child_rows import stored_child
from activities.ledger.control_models import AuditRow, OperatorVerdict
from activities.ledger.models import Attempt, ChildOrder, LedgerMeta, ParentOrder
from activities.ledger.results import MAY_BE_LIVE, PositionKey, TradingState
from activities.ledger.risk_facts import overridden
from activities.ledger.risk_locks import binds_of
from activities.ledger.statements import alarm, block_of, exposure_of, gate, strictest_state
from activities.ledger.store_feed import seconds_ago
from activities.ledger.store_fills import report_of
from activities.ledger.store_orders import save_order
from activities.ledger.store_states import ACTION
from activities.ledger.store_unsent import release_unsent
from activities.ledger.view_orders import children_of, overlay, totals_of
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import Side
from workflows.domain.risk import Exposure, free_to_close
from workflows.messages import OrderRequest
from workflows.ports import KnownChild, LostOrder, ReadSwitch, RecordVerdict
from workflows.steering_messages import Verdict

_FINAL = [status.value for status in ChildStatus if status.is_final]
_SIDED = gate().add_columns(overridden().label("overridden"))
_NOTHING = Exposure(position=Decimal(0), working_buy=Decimal(0), working_sell=Decimal(0))


class LostStore:
    """What adoption and operators write. Raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def open_orders(self, *, older_than_s: Decimal) -> list[str]:
        """Ids of orders that need a running workflow: without an end, or with a live child."""
        live = exists().where(
            ChildOrder.order_id == ParentOrder.order_id, ChildOrder.status.not_in(_FINAL)
        )
        failed = (ParentOrder.status == OrderStatus.FAILED.value) & live
        query = (
            select(ParentOrder.order_id)
            .where(
                ParentOrder.execution_id.is_(None),
                ParentOrder.created_at < seconds_ago(older_than_s),
                or_(ParentOrder.finished_at.is_(None), failed),
            )
            .order_by(ParentOrder.created_at)
        )
        async with self._reader.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def take_over(
        self, order: LostOrder
    ) -> tuple[str, OrderRequest | None, tuple[KnownChild, ...]]:
        """Give up what was never sent; the epoch, the order, and its children that are not final.

        No order: the ledger holds none that is open or has such children.
        """
        async with self._engine.begin() as connection:
            epoch: str = (await connection.execute(select(LedgerMeta.epoch))).scalar_one()
            found = await connection.execute(_parent(order.order_id))
            parent = found.one_or_none()
            if parent is None:
                return epoch, None, ()
            await connection.execute(release_unsent(order.order_id))
            children = await _live_children(connection, order.order_id)
            if parent.finished_at is not None and not children:
                return epoch, None, ()
            detail = f"workflow={order.how} children={len(children)}"
            await connection.execute(alarm(AlarmCode.ORDER_ADOPTED, order.order_id, detail))
            return epoch, OrderRequest.model_validate(parent.request), children

    async def end_lost(self, order: LostOrder) -> None:
        """Store the end of an order that was taken over.

        One that has ended is left as it is, and one of which something is live again.
        """
        async with self._engine.begin() as connection:
            row = (await connection.execute(_parent(order.order_id))).one_or_none()
            if row is None or row.finished_at is not None:
                return
            if await _live_children(connection, order.order_id):
                return  # its workflow was alive after all, and sent again: whoever looks next sees
            totals = await totals_of(connection, [order.order_id])
            children, count = await children_of(connection, order.order_id)
            shown = overlay(row, totals.get(order.order_id))
            is_done = shown.remaining_quantity is not None and shown.remaining_quantity <= 0
            status = OrderStatus.FILLED if is_done else OrderStatus.CANCELLED
            reason = "" if is_done else f"its workflow was {order.how}: adopted and cancelled"
            if OrderStatus(row.status).is_terminal:  # denied, and lost before it could tell so
                status, reason = OrderStatus(row.status), row.reason
            end = shown.model_copy(
                update={
                    "status": status,
                    "reason": reason,
                    "children": children,
                    "children_total": count,
                }
            )
            await save_order(connection, end, status)

    async def read_switch(self, request: ReadSwitch) -> Denied | None:
        """What new orders of this kind are denied with now."""
        key = PositionKey(request.strategy_id, request.account, request.venue, request.symbol)
        if request.side is not None:
            return await self._stopped(key, request.side, reduce_only=request.reduce_only)
        block = strictest_state().subquery("block")
        columns: list[Any] = [
            block.c.state.label("block_state"),
            block.c.scope.label("block_scope"),
            block.c.reason.label("block_reason"),
            block.c.code.label("block_code"),
        ]
        async with self._reader.connect() as connection:
            found = await connection.execute(select(*columns), {"scopes": key.scopes})
            row = found.one_or_none()
            if row is not None:
                return check_block(block_of(row), _NOTHING, Side.BUY, Decimal(1))
            if request.since is None:
                return None
            lifted = (await connection.execute(_set_since(key, request.since))).first()
        return None if lifted is None else _lifted(lifted)

    async def _stopped(self, key: PositionKey, side: Side, *, reduce_only: bool) -> Denied | None:
        """What leaves an order of this side nothing that it could send."""
        names = {
            **binds_of(key, side),
            "of_exchange": key.exchange,
            "of_account": key.account,
            "client_order_id": "",
        }
        async with self._reader.connect() as connection:
            facts = (await connection.execute(_SIDED, names)).one()
        exposure, block = exposure_of(facts), block_of(facts)
        may_reduce = reduce_only or free_to_close(exposure, side) > 0
        denied = check_block(block, exposure, side, Decimal(1), may_reduce=may_reduce)
        is_halt = block.state == TradingState.HALTED
        is_let = denied is not None and not is_halt and denied.code in (facts.overridden or ())
        return None if is_let else denied

    async def verdict_on(
        self, client_order_id: str, attempt: int
    ) -> tuple[Verdict, str | None] | None:
        """What an operator decided of an attempt, and the venue's id of the order to adopt."""
        async with self._reader.connect() as connection:
            row = await _verdict_on(connection, client_order_id, attempt)
        return None if row is None else _told(row)

    async def record_verdict(self, request: RecordVerdict) -> Denied | datetime:
        """Store an operator's verdict on an attempt that may be live; the newest one counts.

        When it was recorded: the same one again is the one that is stored.
        """
        async with self._engine.begin() as connection:
            query = select(Attempt.state).where(
                Attempt.client_order_id == request.client_order_id,
                Attempt.attempt == request.attempt,
                Attempt.state.in_(MAY_BE_LIVE),
            )
            state = (await connection.execute(query.with_for_update())).scalar_one_or_none()
            known = await _verdict_on(connection, request.client_order_id, request.attempt)
            if known is not None and _told(known) == (request.verdict, request.venue_order_id):
                decided_at: datetime = known.decided_at
                return decided_at
            if state is None:
                why = "not unknown any more"
                return Denied(code=DenialCode.NOT_UNKNOWN, field="child", detail=why)
            owner = await _owner_of(connection, request)
            if owner is not None:
                detail = f"{request.venue_order_id} is child {owner}"
                return Denied(code=DenialCode.NOT_UNKNOWN, field="exchange_order_id", detail=detail)
            names = {
                "client_order_id": request.client_order_id,
                "attempt": request.attempt,
                "verdict": request.verdict.value,
                "venue_order_id": request.venue_order_id,
                "reason": request.reason,
                "decided_by": request.by,
                "decided_at": func.clock_timestamp(),
            }
            new = insert(OperatorVerdict).values(names).returning(OperatorVerdict.decided_at)
            decided_at = (await connection.execute(new)).scalar_one()
            told = {"verdict": request.verdict.value, "exchange_order_id": request.venue_order_id}
            about = f"{request.client_order_id}/{request.attempt}"
            await connection.execute(
                audit(request.by, "resolve_child", about, after=told, reason=request.reason)
            )
            return decided_at


def _parent(order_id: str) -> Select[Any]:
    return (
        select(*ParentOrder.__table__.columns)
        .where(ParentOrder.order_id == order_id)
        .with_for_update(key_share=True)
    )


async def _live_children(connection: AsyncConnection, order_id: str) -> tuple[KnownChild, ...]:
    latest = (
        select(func.coalesce(func.max(Attempt.attempt), 1))
        .where(Attempt.client_order_id == ChildOrder.client_order_id)
        .scalar_subquery()
    )
    columns: list[Any] = [*ChildOrder.__table__.columns, latest.label("attempt")]
    query = (
        select(*columns)
        .where(ChildOrder.order_id == order_id, ChildOrder.status.not_in(_FINAL))
        .order_by(ChildOrder.child_index, ChildOrder.generation)
    )
    known = []
    for row in (await connection.execute(query)).all():
        child = stored_child(row)
        report = await report_of(connection, row)
        known.append(
            KnownChild(intent=child.intent, attempt=row.attempt, status=child.status, report=report)
        )
    return tuple(known)


def _set_since(key: PositionKey, since: datetime) -> Select[Any]:
    """The last time that a switch of the position was not active."""
    state = AuditRow.after["state"].astext
    return (
        select(AuditRow.object, AuditRow.after)
        .where(
            AuditRow.action == ACTION,
            AuditRow.object.in_(key.scopes),
            AuditRow.at >= since,
            state != TradingState.ACTIVE.value,
        )
        .order_by(AuditRow.id.desc())
        .limit(1)
    )


def _lifted(row: Row[Any]) -> Denied:
    is_halt = row.after["state"] == TradingState.HALTED
    own = DenialCode.TRADING_HALTED if is_halt else DenialCode.TRADING_REDUCING
    code = row.after.get("code")
    return Denied(
        code=own if code is None else DenialCode(code),
        detail=f"scope={row.object} reason={row.after['reason']} (lifted since)",
    )


async def _owner_of(connection: AsyncConnection, request: RecordVerdict) -> str | None:
    """Another child of the same place that is known to be the order which the verdict names."""
    if request.venue_order_id is None:
        return None
    mine = aliased(ChildOrder)
    query = (
        select(ChildOrder.client_order_id)
        .join(
            mine,
            and_(
                mine.exchange == ChildOrder.exchange,
                mine.account == ChildOrder.account,
                mine.symbol == ChildOrder.symbol,
            ),
        )
        .where(
            mine.client_order_id == request.client_order_id,
            ChildOrder.client_order_id != request.client_order_id,
            ChildOrder.venue_order_id == request.venue_order_id,
        )
    )
    return (await connection.execute(query)).scalars().first()


async def _verdict_on(
    connection: AsyncConnection, client_order_id: str, attempt: int
) -> Row[Any] | None:
    query = (
        select(*OperatorVerdict.__table__.columns)
        .where(
            OperatorVerdict.client_order_id == client_order_id, OperatorVerdict.attempt == attempt
        )
        .order_by(OperatorVerdict.decided_at.desc())
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


def _told(row: Row[Any]) -> tuple[Verdict, str | None]:
    return Verdict(row.verdict), row.venue_order_id
