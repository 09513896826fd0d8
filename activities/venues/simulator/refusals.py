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
    UNKNOWN_LIST = "UNKNOWN_LIST"
    WOULD_TRIGGER = "WOULD_TRIGGER"
    PRICE_RELATION = "PRICE_RELATION"
    ICEBERG_EXCEEDS = "ICEBERG_EXCEEDS"
    ICEBERG_PARTS = "ICEBERG_PARTS"
    MAX_NUM_ICEBERG_ORDERS = "MAX_NUM_ICEBERG_ORDERS"
    MAX_NUM_ALGO_ORDERS = "MAX_NUM_ALGO_ORDERS"
    TRAILING_DELTA = "TRAILING_DELTA"


class RefusedError(Exception):
    """The request broke a rule of the venue; nothing happened."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
