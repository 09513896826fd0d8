"""The part of a dialect row for what a venue works by itself: hidden size, triggers, OCO.

Most rows have none: the engine then works such orders itself. It must not know the gateway.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.domain.instruments import Native, PercentPrice, TrailingBounds
from workflows.domain.orders import ChildIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRules:
    """What a venue works by itself in one symbol; the fields are those of an Instrument."""

    natives: tuple[Native, ...] = ()
    iceberg_parts: int | None = None
    trailing_above: TrailingBounds | None = None
    trailing_below: TrailingBounds | None = None
    percent_price: PercentPrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeOrders:
    """How native orders are sent and found."""

    rules: Callable[[Mapping[str, Any]], NativeRules]
    """(the venue's own entry of a symbol) -> what it works there."""
    send: Callable[[Any, ChildIntent, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    """(client, intent, rendered id, parameters of every order) -> ccxt order. Raises ccxt's
    InvalidOrder before anything is sent where the intent lacks what its type needs."""
    look_up_list: Callable[[Any, str, str, int], Awaitable[Mapping[str, Any]]]
    """(client, symbol, rendered id, since_ms) -> a one-cancels-the-other as one ccxt order, or
    ccxt's OrderNotFound."""
