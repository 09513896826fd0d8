"""Hypothesis strategies for the core: amounts, order bodies, and any message from its types."""

import dataclasses
import types
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from workflows.domain.orders import OrderType, Placement, Side
from workflows.domain.schedules import MAX_SLICES, CatchUp
from workflows.domain.triggers import OnBlind
from workflows.messages import OrderRequest, validate_order

# Shared machines: neither the time of an example nor the time to draw one is judged.
UNDISTURBED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WIDEST = Decimal("999999999999999999.999999999999999999")

amounts = st.decimals(min_value=0, max_value=WIDEST, places=18)
"""36 digits: as many as a caller may give on each side of the point."""
positive_amounts = st.one_of(
    amounts.filter(bool),
    st.decimals(min_value="0.001", max_value=100_000, places=3),
    st.integers(1, 10**18 - 1).map(Decimal),
)
odd_amounts = st.one_of(
    positive_amounts,
    positive_amounts.map(Decimal.copy_negate),
    st.sampled_from(["0", "-0", "0E-18", "1E+17", "1E-18", "0.10"]).map(Decimal),
)
identifiers = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True).filter(
    lambda text: text not in (".", "..")
)
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
anything_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def fractions_up_to(high: str) -> st.SearchStrategy[str]:
    return st.decimals(min_value=0, max_value=Decimal(high), places=6).map("{:f}".format)


_NUMBERS = positive_amounts.map("{:f}".format)
_MOMENTS = st.datetimes(
    min_value=datetime(2030, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.timezones(),
    allow_imaginary=False,
).map(datetime.isoformat)
_TWAP_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "price": _NUMBERS,
    "twap_slices": st.integers(1, MAX_SLICES),
    "twap_interval": st.decimals(min_value="0.05", max_value=86_400, places=2),
    "size_jitter": fractions_up_to("0.5"),
    "time_jitter": fractions_up_to("0.5"),
    "catch_up": st.sampled_from([mode.value for mode in CatchUp]),
    "catch_up_cap": st.integers(1, 100),
    "end_sweep": st.booleans(),
    "passive_fraction": fractions_up_to("1"),
    "pause_shifts_end": st.booleans(),
    "start_at": _MOMENTS,
}
_ICEBERG_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "post_only": st.booleans(),
    "iceberg_display": _NUMBERS,
    "iceberg_variance": fractions_up_to("0.5"),
    "iceberg_min_visible": _NUMBERS,
    "replenish_delay_s": st.decimals(min_value=0, max_value=86_400, places=3),
    "peg_offset": fractions_up_to("1000"),
    "reprice_ticks": st.integers(1, 100_000),
    "start_at": _MOMENTS,
}
_STOP_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "trigger_source": st.sampled_from(["bid_ask", "last", "mid"]),
    "confirm_n": st.integers(1, 1_000),
    "confirm_ms": st.integers(0, 600_000),
    "stale_after_ms": st.integers(500, 600_000),
    "on_blind": st.sampled_from([choice.value for choice in OnBlind]),
    "max_slippage": fractions_up_to("0.05"),
    "retry_ms": st.integers(50, 600_000),
    "on_exhausted": st.sampled_from(["market", "alarm"]),
}


def _options_of(order_type: OrderType) -> dict[str, st.SearchStrategy[Any]]:
    """What an order of this type may name, all of it together too."""
    options: dict[str, st.SearchStrategy[Any]] = {
        "order_id": identifiers,
        "account": identifiers,
        "priority": st.integers(1, 5),
        "reduce_only": st.booleans(),
        "allow_similar": st.booleans(),
    }
    if order_type is not OrderType.TWAP:
        options["timeout_s"] = st.decimals(min_value="0.1", max_value=31_536_000, places=3)
    if order_type in (OrderType.MARKET, OrderType.TWAP):
        options["slippage_tolerance"] = fractions_up_to("0.5")
    if order_type is OrderType.LIMIT:
        options["time_in_force"] = st.sampled_from(["GTC", "IOC", "FOK"])
    if order_type is OrderType.ICEBERG or order_type.is_triggered:
        options["placement"] = st.sampled_from([choice.value for choice in Placement])
    if order_type.is_triggered:
        return options | _STOP_OPTIONS
    worked = {OrderType.TWAP: _TWAP_OPTIONS, OrderType.ICEBERG: _ICEBERG_OPTIONS}
    return options | worked.get(order_type, {})


def _prices_of(draw: st.DrawFn, order_type: OrderType, side: str) -> dict[str, Any]:
    """The prices without which an order of this type makes no sense."""
    if order_type is OrderType.OCO:
        pair = draw(st.lists(positive_amounts, min_size=2, max_size=2, unique=True))
        limit, stop = sorted(pair, reverse=side == "sell")
        return {"oco_limit_price": f"{limit:f}", "stop_price": f"{stop:f}"}
    if order_type is OrderType.TRAILING_STOP:
        return {"trailing_delta_bps": draw(st.integers(1, 9_999))}
    name = {
        OrderType.LIMIT: "price",
        OrderType.ICEBERG: "price",
        OrderType.STOP_LOSS: "stop_price",
        OrderType.TAKE_PROFIT: "take_profit_price",
    }.get(order_type)
    return {name: draw(_NUMBERS)} if name else {}


@st.composite
def order_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A valid order as parsed JSON: required fields, and any of the others that may be there."""
    order_type = draw(st.sampled_from(OrderType))
    side = draw(st.sampled_from([side.value for side in Side]))
    required: dict[str, st.SearchStrategy[Any]] = {
        "strategy_id": identifiers,
        "exchange": identifiers,
        "symbol": texts,
        "side": st.just(side),
        "order_type": st.just(order_type.value),
        "quantity": _NUMBERS,
    }
    prices = _prices_of(draw, order_type, side)
    return draw(st.fixed_dictionaries(required, optional=_options_of(order_type))) | prices


def _request(body: dict[str, Any]) -> OrderRequest:
    request = validate_order(body)
    assert isinstance(request, OrderRequest), request
    return request


order_requests = order_bodies().map(_request)

_PLAIN: dict[object, st.SearchStrategy[Any]] = {
    Decimal: odd_amounts,
    str: texts,
    int: st.integers(-(10**18) + 1, 10**18 - 1),
    bool: st.booleans(),
    types.NoneType: st.none(),
    datetime: st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    OrderRequest: order_requests,
}


@cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a message's type, to the depth of its nested messages."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (types.UnionType, Union):
        return st.one_of(*map(values_of, args))
    if origin is tuple:
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(texts, values_of(args[1]), max_size=2)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert dataclasses.is_dataclass(hint) or issubclass(hint, BaseModel), hint
    names = (
        [field.name for field in dataclasses.fields(hint)]
        if dataclasses.is_dataclass(hint)
        else list(hint.model_fields)
    )
    hints = get_type_hints(hint)
    return st.builds(hint, **{name: values_of(hints[name]) for name in names})
