"""The journal's wire form of events: flat JSON objects, all amounts as plain strings.

Rule: `decode(encode(event)) == event`. Knows nothing of files.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from activities.venues.simulator.events import (
    AccountOpened,
    CancelTimerSet,
    Deposited,
    Event,
    MatchPrevented,
    OrderAccepted,
    OrderListEnded,
    OrderListOpened,
    OrderTriggered,
    OrderUpdated,
    TradeDone,
    TradeIdsReserved,
    TrailingMoved,
)

# The JSON objects are of any shape by nature; their types end at this module.
Record = dict[str, Any]

_KINDS: Mapping[str, type[Event]] = {
    "account": AccountOpened,
    "deposit": Deposited,
    "order": OrderAccepted,
    "trade": TradeDone,
    "prevented_match": MatchPrevented,
    "order_update": OrderUpdated,
    "trailing": TrailingMoved,
    "triggered": OrderTriggered,
    "order_list": OrderListOpened,
    "order_list_end": OrderListEnded,
    "cancel_timer": CancelTimerSet,
    "trade_ids": TradeIdsReserved,
}
_KIND_OF = {event_type: kind for kind, event_type in _KINDS.items()}


def _amounts(value: Mapping[str, str]) -> dict[str, Decimal]:
    return {asset: Decimal(amount) for asset, amount in value.items()}


def _reader(annotation: Any) -> Callable[[Any], Any]:
    if annotation in (str, int, bool):
        return lambda value: value
    if annotation == Mapping[str, Decimal]:
        return _amounts
    reader: Callable[[Any], Any] = annotation  # Decimal, or one of the enums
    return reader


_READERS = {
    kind: [(each.name, _reader(each.type)) for each in fields(event_type)]
    for kind, event_type in _KINDS.items()
}


def encode(event: Event) -> Record:
    """A record with `ts_ms` and `kind` first, then the event's fields."""
    record: Record = {"ts_ms": event.ts_ms, "kind": _KIND_OF[type(event)]}
    for each in fields(event):
        record[each.name] = _plain(getattr(event, each.name))
    return record


def decode(record: Record) -> Event | None:
    """The event of a record; None for a kind that is not an event.

    Raises TypeError if a field misses that older journals have, too.
    """
    readers = _READERS.get(record["kind"])
    if readers is None:
        return None
    values = {name: read(record[name]) for name, read in readers if name in record}
    return _KINDS[record["kind"]](**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value
