"""Price watches: triggers that the engine keeps, armed under an id and ended exactly once.

Theory. ARMED -> FIRED and ARMED -> DISARMED are compare-and-sets, so of a follower that fires and
an owner that disarms one wins and the other is told. Arming holds the order's row: an order that
ends disarms in the transaction that stores its end, and nothing is armed for it afterwards. Rows
are locked in the order of their ids wherever there are many.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    BindParameter,
    Boolean,
    Integer,
    Numeric,
    Row,
    Text,
    Update,
    any_,
    bindparam,
    case,
    cast,
    extract,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.models import ParentOrder
from activities.ledger.results import UnknownOrderError
from activities.ledger.watch_models import PriceFollower, PriceWatch
from activities.ledger.watch_rows import (
    StoredWatch,
    UntoldWatch,
    fired_to_json,
    spec_to_json,
    stored_watch,
    untold_watch,
    view_of,
)
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.triggers import Fired, TriggerState
from workflows.ports import ArmWatch, FollowPrices, WatchStatus, WatchView

_ARMED, _FIRED, _DISARMED = (status.value for status in WatchStatus)
_MAY_WAIT = [OrderStatus.ACCEPTED.value, OrderStatus.WORKING.value]
_COLUMNS: list[Any] = list(PriceWatch.__table__.columns)


# --- for the owner ------------------------------------------------------------------------------


async def arm(connection: AsyncConnection, request: ArmWatch) -> WatchView:
    """See WatchStore.arm."""
    known = await _row(connection, request.watch_id)
    if known is not None:
        return view_of(known)
    held = select(ParentOrder.status).where(ParentOrder.order_id == request.order_id)
    held = held.with_for_update(key_share=True)
    status = (await connection.execute(held)).scalar_one_or_none()
    if status is None:
        raise UnknownOrderError(f"the ledger holds no order {request.order_id}")
    if OrderStatus(status).is_terminal:
        return _absent(request.watch_id)
    await connection.execute(insert(PriceWatch).values(_values(request)).on_conflict_do_nothing())
    await connection.execute(_waits(request.order_id))
    return await read(connection, request.watch_id)


def _waits(order_id: str) -> Update:
    """The order waits for a price, unless it is paused or about to end."""
    return (
        update(ParentOrder)
        .where(ParentOrder.order_id == order_id, ParentOrder.status.in_(_MAY_WAIT))
        .values(status=OrderStatus.WAITING_PRICE.value, updated_at=func.now())
    )


def _values(request: ArmWatch) -> dict[str, Any]:
    state = request.state or TriggerState()
    return {
        "watch_id": request.watch_id,
        "order_id": request.order_id,
        "exchange": request.venue,
        "account": request.account,
        "symbol": request.symbol,
        "side": request.spec.side.value,
        "spec": spec_to_json(request.spec),
        "status": _ARMED,
        "is_active": state.is_active,
        "extreme": state.extreme,
        "confirmed": state.confirmed,
        "confirmed_since_ms": state.confirmed_since_ms,
    }


async def disarm(connection: AsyncConnection, watch_id: str) -> WatchView:
    """See WatchStore.disarm."""
    await connection.execute(_disarmed().where(PriceWatch.watch_id == watch_id))
    return await read(connection, watch_id)


def disarm_all_of(order_id: str | BindParameter[str]) -> Update:
    """Disarm what is still armed of an order that ends."""
    return _disarmed().where(PriceWatch.order_id == order_id)


def _disarmed() -> Update:
    return (
        update(PriceWatch)
        .where(PriceWatch.status == _ARMED)
        .values(status=_DISARMED, ended_at=func.clock_timestamp())
    )


async def read(connection: AsyncConnection, watch_id: str) -> WatchView:
    """See WatchStore.read."""
    row = await _row(connection, watch_id)
    return _absent(watch_id) if row is None else view_of(row)


async def _row(connection: AsyncConnection, watch_id: str) -> Row[Any] | None:
    query = select(*_COLUMNS).where(PriceWatch.watch_id == watch_id)
    return (await connection.execute(query)).one_or_none()


def _absent(watch_id: str) -> WatchView:
    return WatchView(watch_id=watch_id, status=WatchStatus.DISARMED, state=TriggerState())


async def place_of(connection: AsyncConnection, watch_id: str) -> FollowPrices | None:
    """See WatchStore.place_of."""
    row = await _row(connection, watch_id)
    if row is None:
        return None
    return FollowPrices(venue=row.exchange, account=row.account, symbol=row.symbol)


async def is_over(connection: AsyncConnection, order_id: str) -> bool:
    """See WatchStore.is_over."""
    query = select(ParentOrder.status).where(ParentOrder.order_id == order_id)
    status = (await connection.execute(query)).scalar_one_or_none()
    return status is not None and OrderStatus(status).is_terminal


# --- for the follower ---------------------------------------------------------------------------


async def armed_watches(connection: AsyncConnection, venue: str, symbol: str) -> list[StoredWatch]:
    """See WatchStore.armed_watches."""
    armed_at_ms = cast(func.floor(extract("epoch", PriceWatch.armed_at) * 1000), BigInteger)
    columns = [*_COLUMNS, armed_at_ms.label("armed_at_ms")]
    query = (
        select(*columns)
        .where(
            PriceWatch.exchange == venue,
            PriceWatch.symbol == symbol,
            PriceWatch.status == _ARMED,
        )
        .order_by(PriceWatch.armed_at, PriceWatch.watch_id)
    )
    return [stored_watch(row) for row in await connection.execute(query)]


def _locked() -> CTE:
    """The armed ones among `ids`, held in the order of their ids."""
    return (
        select(PriceWatch.watch_id)
        .where(
            PriceWatch.watch_id == any_(bindparam("ids", type_=ARRAY(Text))),
            PriceWatch.status == _ARMED,
        )
        .order_by(PriceWatch.watch_id)
        .with_for_update()
        .cte("locked")
    )


def _save_states() -> Update:
    """No bind may be named like a column: SQLAlchemy would take it for a value."""
    new = (
        func.unnest(
            bindparam("ids", type_=ARRAY(Text)),
            bindparam("new_active", type_=ARRAY(Boolean)),
            bindparam("new_extremes", type_=ARRAY(Numeric)),
            bindparam("new_confirmed", type_=ARRAY(Integer)),
            bindparam("new_since", type_=ARRAY(BigInteger)),
        )
        .table_valued("id", "active", "extreme", "confirmed", "since")
        .render_derived("new")
    )
    locked = _locked()
    best = case(
        (
            PriceWatch.side == Side.SELL.value,
            func.greatest(PriceWatch.extreme, cast(new.c.extreme, Numeric)),
        ),
        else_=func.least(PriceWatch.extreme, cast(new.c.extreme, Numeric)),
    )
    return (
        update(PriceWatch)
        .where(
            PriceWatch.watch_id == locked.c.watch_id,
            PriceWatch.watch_id == new.c.id,
            PriceWatch.status == _ARMED,
        )
        .values(
            is_active=PriceWatch.is_active | cast(new.c.active, Boolean),
            extreme=best,
            confirmed=new.c.confirmed,
            confirmed_since_ms=new.c.since,
        )
    )


_SAVE_STATES = _save_states()


async def save_states(connection: AsyncConnection, states: Mapping[str, TriggerState]) -> None:
    """See WatchStore.save_watch_states."""
    if not states:
        return
    known = list(states.values())
    values = {
        "ids": list(states),
        "new_active": [state.is_active for state in known],
        "new_extremes": [state.extreme for state in known],
        "new_confirmed": [state.confirmed for state in known],
        "new_since": [state.confirmed_since_ms for state in known],
    }
    await connection.execute(_SAVE_STATES, values)


def _fire() -> Any:
    new = (
        func.unnest(bindparam("ids", type_=ARRAY(Text)), bindparam("facts", type_=ARRAY(Text)))
        .table_valued("id", "fact")
        .render_derived("new")
    )
    locked = _locked()
    return (
        update(PriceWatch)
        .where(
            PriceWatch.watch_id == locked.c.watch_id,
            PriceWatch.watch_id == new.c.id,
            PriceWatch.status == _ARMED,
        )
        .values(status=_FIRED, fired=cast(new.c.fact, JSONB), ended_at=func.clock_timestamp())
        .returning(PriceWatch.watch_id)
    )


_FIRE = _fire()


async def fire(connection: AsyncConnection, fired: Sequence[tuple[str, Fired]]) -> list[bool]:
    """See WatchStore.fire_watches."""
    if not fired:
        return []
    facts = dict(fired)
    values = {"ids": list(facts), "facts": [fired_to_json(fact) for fact in facts.values()]}
    done = set((await connection.execute(_FIRE, values)).scalars())
    return [watch_id in done for watch_id, _ in fired]


async def untold(connection: AsyncConnection, venue: str, symbol: str) -> list[UntoldWatch]:
    """See WatchStore.untold_watches."""
    query = (
        select(*_COLUMNS)
        .where(
            PriceWatch.exchange == venue,
            PriceWatch.symbol == symbol,
            PriceWatch.status == _FIRED,
            PriceWatch.told_at.is_(None),
        )
        .order_by(PriceWatch.ended_at, PriceWatch.watch_id)
    )
    return [untold_watch(row) for row in await connection.execute(query)]


async def told(connection: AsyncConnection, watch_ids: Sequence[str]) -> None:
    """See WatchStore.watch_told."""
    await connection.execute(
        update(PriceWatch)
        .where(
            PriceWatch.watch_id.in_(watch_ids),
            PriceWatch.status == _FIRED,
            PriceWatch.told_at.is_(None),
        )
        .values(told_at=func.clock_timestamp())
    )


def _set_blind() -> Update:
    locked = _locked()
    return (
        update(PriceWatch)
        .where(PriceWatch.watch_id == locked.c.watch_id, PriceWatch.status == _ARMED)
        .values(is_blind=bindparam("now_blind", type_=Boolean))
    )


_SET_BLIND = _set_blind()


async def set_blind(
    connection: AsyncConnection, watch_ids: Sequence[str], *, is_blind: bool
) -> None:
    """See WatchStore.set_blind."""
    await connection.execute(_SET_BLIND, {"ids": list(watch_ids), "now_blind": is_blind})


async def seen_until(connection: AsyncConnection, venue: str, symbol: str) -> int | None:
    """See WatchStore.seen_until."""
    query = select(PriceFollower.seen_until_ms).where(
        PriceFollower.exchange == venue, PriceFollower.symbol == symbol
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def save_seen_until(
    connection: AsyncConnection, venue: str, symbol: str, seen_until_ms: int
) -> None:
    """The prices were seen up to then; it never goes back."""
    new = insert(PriceFollower).values(exchange=venue, symbol=symbol, seen_until_ms=seen_until_ms)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[PriceFollower.exchange, PriceFollower.symbol],
            set_={
                "seen_until_ms": func.greatest(
                    PriceFollower.seen_until_ms, new.excluded.seen_until_ms
                ),
                "updated_at": func.now(),
            },
        )
    )
