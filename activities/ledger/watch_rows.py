"""Rows of `price_watches` as what the engine works with, and back. Times in ms since 1970."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from workflows.domain.triggers import Fired, TriggerSpec, TriggerState
from workflows.ports import WatchStatus, WatchView


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWatch:
    """An armed watch as its follower needs it; `armed_at_ms` by the database's clock."""

    watch_id: str
    order_id: str
    account: str
    spec: TriggerSpec
    state: TriggerState
    armed_at_ms: int
    is_blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UntoldWatch:
    """A watch that fired, and whose owner does not know it yet."""

    watch_id: str
    order_id: str
    fired: Fired


_SPEC = TypeAdapter(TriggerSpec)
_FIRED = TypeAdapter(Fired)


def spec_to_json(spec: TriggerSpec) -> Any:
    """JSON values, with decimals as text: exact in JSONB."""
    return _SPEC.dump_python(spec, mode="json", exclude_none=True)


def fired_to_json(fired: Fired) -> str:
    """JSON text, with decimals as text."""
    return _FIRED.dump_json(fired, exclude_none=True).decode()


def spec_of(row: Row[Any]) -> TriggerSpec:
    """What the watch of this row waits for."""
    return _SPEC.validate_python(row.spec)


def fired_of(row: Row[Any]) -> Fired | None:
    """How the watch of this row fired, if it did."""
    return None if row.fired is None else _FIRED.validate_python(row.fired)


def state_of(row: Row[Any]) -> TriggerState:
    """How far the watch of this row is."""
    return TriggerState(
        is_active=row.is_active,
        extreme=row.extreme,
        confirmed=row.confirmed,
        confirmed_since_ms=row.confirmed_since_ms,
    )


def view_of(row: Row[Any]) -> WatchView:
    """The watch of this row as its owner sees it."""
    return WatchView(
        watch_id=row.watch_id,
        status=WatchStatus(row.status),
        state=state_of(row),
        fired=fired_of(row),
        is_blind=row.is_blind,
    )


def stored_watch(row: Row[Any]) -> StoredWatch:
    """The armed watch of this row, which has `armed_at_ms` beside its columns."""
    return StoredWatch(
        watch_id=row.watch_id,
        order_id=row.order_id,
        account=row.account,
        spec=spec_of(row),
        state=state_of(row),
        armed_at_ms=row.armed_at_ms,
        is_blind=row.is_blind,
    )


def untold_watch(row: Row[Any]) -> UntoldWatch:
    """The fired watch of this row."""
    fired = _FIRED.validate_python(row.fired)
    return UntoldWatch(watch_id=row.watch_id, order_id=row.order_id, fired=fired)
