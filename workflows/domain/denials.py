"""Why an order is refused by us: a closed set of codes, each with its HTTP status.

A *denial* is our own "no", given before anything reaches a venue; a *rejection* is the venue's.
The HTTP statuses follow from this enum, and a test holds the README's table to it.
"""

from dataclasses import dataclass
from enum import StrEnum


class DenialCode(StrEnum):
    """One code per cause. The value is what users see."""

    INVALID_JSON = "INVALID_JSON"
    DUPLICATE_FIELD = "DUPLICATE_FIELD"
    TOO_DEEP = "TOO_DEEP"
    INVALID_INPUT = "INVALID_INPUT"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    ALREADY_TERMINAL = "ALREADY_TERMINAL"
    TRADING_HALTED = "TRADING_HALTED"
    TRADING_REDUCING = "TRADING_REDUCING"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    FIELD_NOT_ALLOWED = "FIELD_NOT_ALLOWED"
    INVALID_TYPE = "INVALID_TYPE"
    INVALID_DECIMAL = "INVALID_DECIMAL"
    NOT_POSITIVE = "NOT_POSITIVE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    PRECISION = "PRECISION"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    INVALID_TIME = "INVALID_TIME"
    UNKNOWN_ENUM = "UNKNOWN_ENUM"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    ILLEGAL_CHARS = "ILLEGAL_CHARS"
    TOO_LONG = "TOO_LONG"
    INVALID_CURSOR = "INVALID_CURSOR"
    SYMBOL_NOT_TRADING = "SYMBOL_NOT_TRADING"
    SYMBOL_RULES_INVALID = "SYMBOL_RULES_INVALID"
    NOT_ACCEPTED_IN_TIME = "NOT_ACCEPTED_IN_TIME"
    RISK_NO_LIMIT = "RISK_NO_LIMIT"
    RISK_MAX_QTY = "RISK_MAX_QTY"
    RISK_MAX_NOTIONAL = "RISK_MAX_NOTIONAL"
    RISK_MAX_EXPOSURE = "RISK_MAX_EXPOSURE"
    RISK_DUPLICATE = "RISK_DUPLICATE"
    RISK_SELF_MATCH = "RISK_SELF_MATCH"
    RATE_LIMITED = "RATE_LIMITED"
    STRATEGY_DISABLED = "STRATEGY_DISABLED"
    LOSS_LIMIT = "LOSS_LIMIT"
    RISK_MAX_POSITION = "RISK_MAX_POSITION"
    RISK_PRICE_COLLAR = "RISK_PRICE_COLLAR"
    RISK_STALE_REF = "RISK_STALE_REF"
    RISK_OVERSHOOT = "RISK_OVERSHOOT"
    SAME_VENUE = "SAME_VENUE"
    UNSUPPORTED_LEGS = "UNSUPPORTED_LEGS"
    INCONSISTENT_PLAN = "INCONSISTENT_PLAN"
    BELOW_MIN_PROFIT = "BELOW_MIN_PROFIT"
    SLIPPAGE = "SLIPPAGE"
    INSUFFICIENT_DEPTH = "INSUFFICIENT_DEPTH"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    STALE_BOOK = "STALE_BOOK"
    BOOK_SKEW = "BOOK_SKEW"
    PAIR_BUSY = "PAIR_BUSY"
    INVALID_WEIGHTS = "INVALID_WEIGHTS"
    MISSING_PRICE = "MISSING_PRICE"
    STOP_WRONG_SIDE = "STOP_WRONG_SIDE"
    OCO_PRICES = "OCO_PRICES"
    TRIGGER_SOURCE = "TRIGGER_SOURCE"
    NOT_NATIVE = "NOT_NATIVE"
    END_BEFORE_START = "END_BEFORE_START"
    INCONSISTENT_SCHEDULE = "INCONSISTENT_SCHEDULE"
    AMEND_BELOW_FILLED = "AMEND_BELOW_FILLED"
    NOT_STEERABLE = "NOT_STEERABLE"
    NOT_PAUSED = "NOT_PAUSED"
    RISK_REDUCE_ONLY = "RISK_REDUCE_ONLY"
    UNKNOWN_LIMIT = "UNKNOWN_LIMIT"
    INCONSISTENT_LIMITS = "INCONSISTENT_LIMITS"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    NOT_UNKNOWN = "NOT_UNKNOWN"
    NOT_FOUND = "NOT_FOUND"
    NEEDS_ANOTHER = "NEEDS_ANOTHER"
    RECONCILING = "RECONCILING"
    UNAVAILABLE = "UNAVAILABLE"


_BAD_REQUEST = {DenialCode.INVALID_JSON, DenialCode.DUPLICATE_FIELD, DenialCode.TOO_DEEP}
_CONFLICT = {
    DenialCode.IDEMPOTENCY_CONFLICT,
    DenialCode.ALREADY_TERMINAL,
    DenialCode.TRADING_HALTED,
    DenialCode.TRADING_REDUCING,
    DenialCode.PAIR_BUSY,
    DenialCode.AMEND_BELOW_FILLED,
    DenialCode.NOT_STEERABLE,
    DenialCode.NOT_PAUSED,
    DenialCode.STRATEGY_DISABLED,
    DenialCode.NOT_UNKNOWN,
    DenialCode.NEEDS_ANOTHER,
}
_UNAVAILABLE = {
    DenialCode.RECONCILING,
    DenialCode.UNAVAILABLE,
    DenialCode.NOT_ACCEPTED_IN_TIME,
}


def http_status(code: DenialCode) -> int:
    """The HTTP status that carries this code: 400, 404, 409, 422, 429 or 503."""
    if code in _BAD_REQUEST:
        return 400
    if code is DenialCode.NOT_FOUND:
        return 404
    if code is DenialCode.RATE_LIMITED:
        return 429
    if code in _CONFLICT:
        return 409
    if code in _UNAVAILABLE:
        return 503
    return 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A refusal: the code, the field at fault (if one is) and facts as `key=value` text."""

    code: DenialCode
    detail: str = ""
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)
