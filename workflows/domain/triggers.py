"""When a price fires a trigger: stop, take-profit, trailing stop; pure, tick by tick.

Rule: a trigger is a `TriggerSpec` that never changes and a `TriggerState` that each tick advances;
whoever keeps the state can go on after any crash. Equality fires ("equal to, or surpasses").
It must not know where ticks come from, nor what is sent when it fires.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from workflows.domain.exact import exact, times
from workflows.domain.orders import Side

_HALF = Decimal("0.5")
_ONE_IN_BIPS = 10_000
_NOTHING, _EVERYTHING = Decimal("-Infinity"), Decimal("Infinity")


class TriggerSource(StrEnum):
    """Which price a trigger looks at.

    BID_ASK is what the exit would trade at: the best bid for a sell, the best ask for a buy.
    """

    BID_ASK = "bid_ask"
    LAST = "last"
    MID = "mid"
    MARK = "mark"
    INDEX = "index"


class Direction(StrEnum):
    """Which way the price must move to fire the trigger."""

    UP = "up"
    DOWN = "down"


class OnBlind(StrEnum):
    """What a trigger does when nobody can tell it the price."""

    HOLD = "hold"
    EXIT = "exit"


class Flag(StrEnum):
    """What a human should know about how a trigger fired."""

    GAP = "GAP"
    """The price jumped over the trigger."""
    GAP_ENTRY = "GAP_ENTRY"
    """The price was through the trigger already when the order came."""
    LATE = "LATE"
    """It fired on the path of a time in which nobody watched."""
    CANDLE = "CANDLE"
    """Trades of that time were not to be had: the extremes of candles were taken."""
    BLIND = "BLIND"
    """It fired because the price was not known for too long."""
    UNPROTECTED_DUST = "UNPROTECTED_DUST"
    """What was left is below what the venue trades."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSpec:
    """What is waited for. `side` is that of the order that is sent when it fires.

    Either `price` (quote units), or `trailing_delta_bps` with, optionally, the `activation_price`
    at which following begins. It fires after `confirm_n` ticks in a row that are at or through
    the trigger, and not before the first of them is `confirm_ms` old.
    """

    side: Side
    direction: Direction
    source: TriggerSource
    price: Decimal | None = None
    trailing_delta_bps: int | None = None
    activation_price: Decimal | None = None
    activation_direction: Direction | None = None
    """How the market must reach `activation_price`: for a sell stop upwards, for a buy down."""
    confirm_n: int = 1
    confirm_ms: int = 0
    stale_after_ms: int = 5_000
    """A price that is older than this cannot fire it."""
    on_blind: OnBlind = OnBlind.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerState:
    """How far it is. `extreme` is the best price since it follows; None before the first tick."""

    is_active: bool = False
    """False while a trailing trigger waits for its activation price."""
    extreme: Decimal | None = None
    confirmed: int = 0
    confirmed_since_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Prices at one moment (ms since 1970); None for what is not known."""

    at_ms: int
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    mark: Decimal | None = None
    index: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A trigger that fired: at which price, when, and the extreme of a trailing one."""

    price: Decimal
    at_ms: int
    extreme: Decimal | None = None
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Prices strictly between the two leave a trigger's state as it is, and do not fire it."""

    low: Decimal
    high: Decimal


_NEVER_QUIET = Quiet(low=_EVERYTHING, high=_NOTHING)


def source_price(spec: TriggerSpec, tick: Tick) -> Decimal | None:
    """The price that this trigger looks at, in quote units; None where the tick lacks it."""
    match spec.source:
        case TriggerSource.BID_ASK:
            return tick.bid if spec.side is Side.SELL else tick.ask
        case TriggerSource.LAST:
            return tick.last
        case TriggerSource.MARK:
            return tick.mark
        case TriggerSource.INDEX:
            return tick.index
        case TriggerSource.MID:
            if tick.bid is None or tick.ask is None:
                return None
            with exact():
                return (tick.bid + tick.ask) * _HALF


def trigger_price_of(spec: TriggerSpec, state: TriggerState) -> Decimal | None:
    """Where it fires, in quote units; None while a trailing trigger follows no price yet.

    extreme * (1 - d) of a falling price, extreme * (1 + d) of a rising one, to the last digit.
    """
    if spec.trailing_delta_bps is None:
        return spec.price
    if state.extreme is None:
        return None
    is_down = spec.direction is Direction.DOWN
    delta = -spec.trailing_delta_bps if is_down else spec.trailing_delta_bps
    with exact():
        return times(state.extreme, _ONE_IN_BIPS + delta).scaleb(-4)


def advance(
    spec: TriggerSpec, state: TriggerState, tick: Tick
) -> tuple[TriggerState, Fired | None]:
    """The state after this tick, and how it fired if it did. Ticks come in the market's order.

    A tick without the price that is looked at changes nothing. The price that activates a
    trailing trigger becomes its extreme and cannot fire it.
    """
    price = source_price(spec, tick)
    if price is None:
        return state, None
    return advance_to(spec, state, price, tick.at_ms)


def advance_to(
    spec: TriggerSpec, state: TriggerState, price: Decimal, at_ms: int
) -> tuple[TriggerState, Fired | None]:
    """`advance` with the price that is looked at (quote units) and its moment (ms since 1970)."""
    state = followed(spec, state, price)
    trigger = trigger_price_of(spec, state)
    if trigger is None:
        return state, None
    if not is_reached(spec.direction, price, trigger):
        return _unconfirmed(state), None
    since_ms = at_ms if state.confirmed_since_ms is None else state.confirmed_since_ms
    seen = replace(state, confirmed=state.confirmed + 1, confirmed_since_ms=since_ms)
    if seen.confirmed < spec.confirm_n or at_ms - since_ms < spec.confirm_ms:
        return seen, None
    is_gap = spec.trailing_delta_bps is None and price != trigger
    flags = (Flag.GAP,) if is_gap else ()
    return seen, Fired(price=price, at_ms=at_ms, extreme=seen.extreme, flags=flags)


def is_reached(direction: Direction, price: Decimal, level: Decimal) -> bool:
    """True at the level, and beyond it."""
    return price <= level if direction is Direction.DOWN else price >= level


def followed(spec: TriggerSpec, state: TriggerState, price: Decimal) -> TriggerState:
    """The state with its extreme moved on, nothing fired; the same one where nothing moves."""
    if spec.trailing_delta_bps is None:
        return state
    if state.extreme is not None:
        is_down = spec.direction is Direction.DOWN
        is_better = price > state.extreme if is_down else price < state.extreme
        return replace(state, extreme=price) if is_better else state
    starts_at = spec.activation_price
    if state.is_active or starts_at is None:
        return replace(state, is_active=True, extreme=price)
    if is_reached(_activation_direction(spec), price, starts_at):
        return replace(state, is_active=True, extreme=price)
    return state


def further(spec: TriggerSpec, one: TriggerState, other: TriggerState) -> TriggerState:
    """Whichever has followed the price further; `one` where they are even."""
    if other.extreme is None:
        return one
    if one.extreme is None:
        return other
    is_down = spec.direction is Direction.DOWN
    is_further = other.extreme > one.extreme if is_down else other.extreme < one.extreme
    return other if is_further else one


def quiet_range(spec: TriggerSpec, state: TriggerState) -> Quiet:
    """Prices that need no look: a thousand triggers cost two comparisons each."""
    if state.confirmed:
        return _NEVER_QUIET  # the next price confirms it or takes the confirmation back
    if spec.trailing_delta_bps is None or state.extreme is None:
        level, direction = spec.price, spec.direction
        if spec.trailing_delta_bps is not None:
            level, direction = spec.activation_price, _activation_direction(spec)
        if level is None:
            return _NEVER_QUIET
        if direction is Direction.DOWN:
            return Quiet(low=level, high=_EVERYTHING)
        return Quiet(low=_NOTHING, high=level)
    trigger = trigger_price_of(spec, state)
    assert trigger is not None, "it has an extreme"
    low, high = sorted((trigger, state.extreme))
    return Quiet(low=low, high=high)


def _activation_direction(spec: TriggerSpec) -> Direction:
    """Where not said: a better price for the position, against which the trigger fires."""
    if spec.activation_direction is not None:
        return spec.activation_direction
    return Direction.UP if spec.direction is Direction.DOWN else Direction.DOWN


def _unconfirmed(state: TriggerState) -> TriggerState:
    if not state.confirmed:
        return state
    return replace(state, confirmed=0, confirmed_since_ms=None)
