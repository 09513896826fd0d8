"""Why the exchange refuses something, as a closed set that each dialect renders in its own codes.

Rule: a refusal has changed nothing. Knows nothing of HTTP or of error numbers.
"""

from enum import StrEnum


class Reason(StrEnum):
    """One reason per cause."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    SYMBOL_HALTED = "SYMBOL_HALTED"
    PRICE_FILTER = "PRICE_FILTER"
    LOT_SIZE = "LOT_SIZE"
    NOTIONAL = "NOTIONAL"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    WOULD_TAKE = "WOULD_TAKE"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"


class RefusedError(Exception):
    """The request broke a rule of the venue; nothing happened."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
