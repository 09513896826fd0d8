"""Triggers and ticks for tests: short to write, and complete."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from workflows.domain.orders import Side
from workflows.domain.triggers import (
    Direction,
    Fired,
    Tick,
    TriggerSource,
    TriggerSpec,
    TriggerState,
    advance,
)

D = Decimal
START = TriggerState()


def a_trigger(side: str = "sell", price: str | None = "95", **changes: Any) -> TriggerSpec:
    """A stop by the last trade; with `trailing_delta_bps` a trailing one."""
    values: dict[str, Any] = {
        "side": Side(side),
        "direction": Direction.DOWN if side == "sell" else Direction.UP,
        "source": TriggerSource.LAST,
        "price": None if "trailing_delta_bps" in changes or price is None else D(price),
    }
    return TriggerSpec(**(values | changes))


def ticks_of(prices: Iterable[Decimal], pause_ms: int = 100) -> list[Tick]:
    """Last trades, one after the other from moment 0 on."""
    return [Tick(at_ms=index * pause_ms, last=price) for index, price in enumerate(prices)]


def shown(
    spec: TriggerSpec, ticks: Iterable[Tick], state: TriggerState = START
) -> tuple[TriggerState, int | None, Fired | None]:
    """The last state, and at which tick it fired."""
    for index, tick in enumerate(ticks):
        state, fired = advance(spec, state, tick)
        if fired is not None:
            return state, index, fired
    return state, None, None


prices = st.integers(80, 120).map(D)
paths = st.lists(prices, min_size=1, max_size=40)


@st.composite
def triggers(draw: st.DrawFn, **fixed: Any) -> TriggerSpec:
    """Any trigger that looks at the last trade, within the range of `paths`."""
    side = draw(st.sampled_from(["sell", "buy"]))
    changes: dict[str, Any] = {
        "direction": draw(st.sampled_from(Direction)),
        "confirm_n": draw(st.integers(1, 3)),
        "confirm_ms": draw(st.sampled_from([0, 100, 250])),
    }
    if draw(st.booleans()):
        changes["trailing_delta_bps"] = draw(st.sampled_from([10, 333, 500, 1500]))
        changes["activation_price"] = draw(st.none() | prices)
        changes["activation_direction"] = draw(st.none() | st.sampled_from(Direction))
    return a_trigger(side, str(draw(prices)), **(changes | fixed))
