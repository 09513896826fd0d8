"""Limits that people set: their names, units, scopes and bounds, and which of them binds.

Rule: of the limits that are set in the scopes of an order the strictest binds; a default counts
only where no scope sets the limit. Pure: what is set comes in as a mapping. A scope is 'global',
'account:<venue>:<account>', 'symbol:<venue>:<symbol>' or 'strategy:<id>'.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import is_multiple
from workflows.domain.risk import Limits

GLOBAL = "global"
MAJORS = frozenset({"BTC", "ETH"})
"""Assets whose market is deep enough for the tight collar."""
OTHERS_COLLAR = Decimal("0.05")
"""The aggressive collar of all other assets."""
_MAX_DECIMALS = 18
_MAX_DIGITS = 18


class LimitName(StrEnum):
    """What can be limited. The value is what users see."""

    MAX_ORDER_QUANTITY = "max_order_quantity"
    MAX_ORDER_VALUE = "max_order_value"
    COLLAR_AGGRESSIVE = "collar_aggressive"
    COLLAR_PASSIVE = "collar_passive"
    MAX_POSITION_VALUE = "max_position_value"
    MAX_EXPOSURE = "max_exposure"
    MAX_MESSAGES_PER_S = "max_messages_per_s"
    DUPLICATE_WINDOW_S = "duplicate_window_s"
    MAX_PARENTS_PER_DAY = "max_parents_per_day"
    MAX_CHILDREN = "max_children"
    LOSS_LIMIT = "loss_limit"
    MAX_REJECTS_IN_ROW = "max_rejects_in_row"


class ScopeKind(StrEnum):
    """What a limit can be set for."""

    GLOBAL = "global"
    ACCOUNT = "account"
    SYMBOL = "symbol"
    STRATEGY = "strategy"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """What may be set. Bounds are inclusive; `default` is text for people."""

    meaning: str
    unit: str
    scopes: tuple[ScopeKind, ...]
    default: str
    low: Decimal = Decimal(0)
    high: Decimal = Decimal("1e15")
    is_whole: bool = False
    larger_is_stricter: bool = False


_ALL = tuple(ScopeKind)
_GLOBAL, _ACCOUNT, _SYMBOL, _STRATEGY = ScopeKind
_ONE = Decimal(1)

RULES: dict[LimitName, LimitRule] = {
    LimitName.MAX_ORDER_QUANTITY: LimitRule(
        meaning="quantity of one order sent to a venue",
        unit="base units",
        scopes=_ALL,
        default="max_order_value / reference price",
    ),
    LimitName.MAX_ORDER_VALUE: LimitRule(
        meaning="value of one order sent to a venue",
        unit="quote value",
        scopes=_ALL,
        default="MAX_ORDER_VALUE",
    ),
    LimitName.COLLAR_AGGRESSIVE: LimitRule(
        meaning="how far a price may be through the market",
        unit="fraction of the reference price",
        scopes=_ALL,
        default="0.02 (BTC, ETH), 0.05 (others)",
        high=_ONE,
    ),
    LimitName.COLLAR_PASSIVE: LimitRule(
        meaning="how far a price may be away from the market",
        unit="fraction of the reference price",
        scopes=_ALL,
        default="0.5",
        high=_ONE,
    ),
    LimitName.MAX_POSITION_VALUE: LimitRule(
        meaning="position of one strategy in one symbol, with all that works or is unknown",
        unit="quote value",
        scopes=_ALL,
        default="MAX_POSITION_SIZE",
    ),
    LimitName.MAX_EXPOSURE: LimitRule(
        meaning="sum of all positions and of all orders that work or are unknown",
        unit="quote value",
        scopes=(_GLOBAL, _ACCOUNT),
        default="off",
    ),
    LimitName.MAX_MESSAGES_PER_S: LimitRule(
        meaning="orders and changes sent to an account's venue within a second",
        unit="messages per second",
        scopes=(_GLOBAL, _ACCOUNT),
        default="80 % of EXCHANGE_<NAME>_RATE_LIMIT, else 100",
        low=_ONE,
        high=Decimal(100),
        is_whole=True,
    ),
    LimitName.DUPLICATE_WINDOW_S: LimitRule(
        meaning="how long the same order again is taken for a mistake; 0: never",
        unit="seconds",
        scopes=_ALL,
        default="2",
        high=Decimal(3600),
        larger_is_stricter=True,
    ),
    LimitName.MAX_PARENTS_PER_DAY: LimitRule(
        meaning="orders of one strategy in a day (UTC); then a human must re-arm it",
        unit="orders",
        scopes=(_GLOBAL, _STRATEGY),
        default="10000",
        high=Decimal(1_000_000_000),
        is_whole=True,
    ),
    LimitName.MAX_CHILDREN: LimitRule(
        meaning="child orders of one order",
        unit="orders",
        scopes=_ALL,
        default="5000",
        low=_ONE,
        high=Decimal(1_000_000),
        is_whole=True,
    ),
    LimitName.LOSS_LIMIT: LimitRule(
        meaning="loss since 00:00 UTC: beyond it trading only reduces, beyond 1.5 times it halts",
        unit="quote value",
        scopes=(_ACCOUNT, _STRATEGY),
        default="off",
    ),
    LimitName.MAX_REJECTS_IN_ROW: LimitRule(
        meaning="rejections by venues in a row; then a human must re-arm the strategy",
        unit="orders",
        scopes=(_GLOBAL, _STRATEGY),
        default="10",
        low=_ONE,
        high=Decimal(1_000_000),
        is_whole=True,
    ),
}

LimitSet = Mapping[tuple[str, LimitName], Decimal]
"""What is set, by scope and name."""

# --- scopes -------------------------------------------------------------------------------------

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_VENUE = re.compile(r"[a-z][a-z0-9]{0,31}")
_SYMBOL_NAME = re.compile(r"[A-Z0-9]{1,32}/[A-Z0-9]{1,32}")
_PARTS: dict[ScopeKind, tuple[re.Pattern[str], ...]] = {
    _GLOBAL: (),
    _ACCOUNT: (_VENUE, _ID),
    _SYMBOL: (_VENUE, _SYMBOL_NAME),
    _STRATEGY: (_ID,),
}
_FORMS = {
    _GLOBAL: "global",
    _ACCOUNT: "account:<venue>:<account>",
    _SYMBOL: "symbol:<venue>:<symbol>",
    _STRATEGY: "strategy:<id>",
}


def account_scope(venue: str, account: str) -> str:
    """The scope of one account at a venue."""
    return f"account:{venue}:{account}"


def symbol_scope(venue: str, symbol: str) -> str:
    """The scope of one symbol at a venue."""
    return f"symbol:{venue}:{symbol}"


def strategy_scope(strategy_id: str) -> str:
    """The scope of one strategy."""
    return f"strategy:{strategy_id}"


def scopes_of(strategy_id: str, account: str, venue: str, symbol: str) -> list[str]:
    """Every scope that an order is in, the widest first."""
    return [
        GLOBAL,
        account_scope(venue, account),
        symbol_scope(venue, symbol),
        strategy_scope(strategy_id),
    ]


def kind_of_scope(scope: str) -> ScopeKind | Denied:
    """What a scope is; UNKNOWN_ENUM or ILLEGAL_CHARS for what is none."""
    kind, *parts = scope.split(":")
    if kind not in list(ScopeKind):
        forms = " or ".join(_FORMS.values())
        return Denied(code=DenialCode.UNKNOWN_ENUM, field="scope", detail=f"scope must be {forms}")
    known = ScopeKind(kind)
    patterns = _PARTS[known]
    fits = len(parts) == len(patterns)
    if not fits or not all(p.fullmatch(each) for p, each in zip(patterns, parts, strict=True)):
        detail = f"scope must read {_FORMS[known]}"
        return Denied(code=DenialCode.ILLEGAL_CHARS, field="scope", detail=detail)
    return known


# --- setting one --------------------------------------------------------------------------------


def check_limit(scope: str, name: str, value: Decimal | None) -> LimitName | Denied:
    """Whether a limit may be set so; None unsets it. Not whether it fits the others."""
    kind = kind_of_scope(scope)
    if isinstance(kind, Denied):
        return kind
    if name not in list(LimitName):
        known = " ".join(LimitName)
        return Denied(
            code=DenialCode.UNKNOWN_LIMIT, field="name", detail=f"name must be one of {known}"
        )
    limit = LimitName(name)
    rule = RULES[limit]
    if kind not in rule.scopes:
        detail = f"{limit} can be set for {' or '.join(rule.scopes)} only"
        return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field="scope", detail=detail)
    denied = None if value is None else _check_value(rule, value)
    return denied or limit


def _check_value(rule: LimitRule, value: Decimal) -> Denied | None:
    if not value.is_finite() or value.adjusted() >= _MAX_DIGITS:
        return _refused(DenialCode.INVALID_DECIMAL, "must be finite, with at most 18 digits")
    if not rule.low <= value <= rule.high:
        bounds = f"must be between {rule.low:f} and {rule.high:f}"
        return _refused(DenialCode.OUT_OF_RANGE, bounds)
    if rule.is_whole and not is_multiple(value, _ONE):
        return _refused(DenialCode.INVALID_TYPE, "must be a whole number")
    if not is_multiple(value, _ONE.scaleb(-_MAX_DECIMALS)):
        return _refused(DenialCode.PRECISION, "must have at most 18 decimals")
    return None


def _refused(code: DenialCode, text: str) -> Denied:
    return Denied(code=code, field="value", detail=f"value {text}")


def check_consistent(
    scope: str, name: LimitName, value: Decimal, limits: LimitSet
) -> Denied | None:
    """A value that is looser than the one for everything would never bind.

    The other way round is let pass: nothing may stand in the way of a stricter limit.
    """
    wide = limits.get((GLOBAL, name))
    if scope == GLOBAL or wide is None or stricter(name, value, wide) == value:
        return None
    detail = f"{name}={value:f} {GLOBAL}={wide:f}"
    return Denied(code=DenialCode.INCONSISTENT_LIMITS, field="value", detail=detail)


# --- which one binds ----------------------------------------------------------------------------


def stricter(name: LimitName, one: Decimal, other: Decimal) -> Decimal:
    """The one of two values that lets less pass."""
    return max(one, other) if RULES[name].larger_is_stricter else min(one, other)


def binding(limits: LimitSet, name: LimitName, scopes: Sequence[str]) -> Decimal | None:
    """The strictest value that is set in these scopes; None where none is."""
    found: Decimal | None = None
    for scope in scopes:
        value = limits.get((scope, name))
        if value is not None:
            found = value if found is None else stricter(name, found, value)
    return found


def defaults_of(limits: Limits, venue: str, symbol: str) -> dict[LimitName, Decimal]:
    """What holds for orders of a symbol where nothing is set; what is off is left out."""
    known = {
        LimitName.MAX_ORDER_QUANTITY: limits.max_order_quantity,
        LimitName.MAX_ORDER_VALUE: limits.max_order_value,
        LimitName.COLLAR_AGGRESSIVE: _collar_of(limits, symbol),
        LimitName.COLLAR_PASSIVE: limits.passive_collar,
        LimitName.MAX_POSITION_VALUE: limits.max_position_value,
        LimitName.MAX_MESSAGES_PER_S: limits.venue_rates.get(venue, limits.max_messages_per_s),
        LimitName.DUPLICATE_WINDOW_S: limits.duplicate_window_s,
        LimitName.MAX_PARENTS_PER_DAY: limits.max_parents_per_day,
        LimitName.MAX_CHILDREN: limits.max_children,
        LimitName.MAX_REJECTS_IN_ROW: limits.max_rejects_in_row,
    }
    return {name: value for name, value in known.items() if value is not None}


def _collar_of(limits: Limits, symbol: str) -> Decimal:
    is_major = symbol.partition("/")[0] in MAJORS
    return limits.aggressive_collar if is_major else OTHERS_COLLAR


def effective(
    stored: LimitSet, limits: Limits, scopes: Sequence[str], venue: str, symbol: str
) -> dict[LimitName, Decimal]:
    """What binds an order of these scopes; what is off is left out. Sums are bound by scope."""
    found = {name: binding(stored, name, scopes) for name in LimitName}
    set_ones = {name: value for name, value in found.items() if value is not None}
    return {**defaults_of(limits, venue, symbol), **set_ones}


def applied(
    stored: LimitSet, limits: Limits, scopes: Sequence[str], venue: str, symbol: str
) -> Limits:
    """As `effective`, the way the checks take it."""
    bound = effective(stored, limits, scopes, venue, symbol)
    return replace(
        limits,
        max_order_value=bound.get(LimitName.MAX_ORDER_VALUE),
        max_position_value=bound.get(LimitName.MAX_POSITION_VALUE),
        aggressive_collar=bound[LimitName.COLLAR_AGGRESSIVE],
        passive_collar=bound[LimitName.COLLAR_PASSIVE],
        max_order_quantity=bound.get(LimitName.MAX_ORDER_QUANTITY),
        max_messages_per_s=bound[LimitName.MAX_MESSAGES_PER_S],
        duplicate_window_s=bound[LimitName.DUPLICATE_WINDOW_S],
        max_parents_per_day=bound[LimitName.MAX_PARENTS_PER_DAY],
        max_children=bound[LimitName.MAX_CHILDREN],
        max_rejects_in_row=bound[LimitName.MAX_REJECTS_IN_ROW],
    )
