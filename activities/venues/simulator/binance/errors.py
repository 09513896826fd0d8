"""Binance's own error codes, messages and HTTP statuses.

Rule: every refusal that leaves the exchange in this dialect is made here. Messages are Binance's:
clients tell errors of one code apart by them.
"""

from collections.abc import Mapping

from activities.venues.simulator.refusals import Reason

NUMBER_RANGE = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"


class ApiError(Exception):
    """An answer with an error code; `status` is the HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def bad_key_format() -> ApiError:
    return ApiError(-2014, "API-key format invalid.", 401)


def unknown_key() -> ApiError:
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def bad_signature() -> ApiError:
    return ApiError(-1022, "Signature for this request is not valid.")


def outside_window() -> ApiError:
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> ApiError:
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def window_too_large() -> ApiError:
    return ApiError(-1131, "'recvWindow' must be less than 60000.")


def illegal_characters(name: str, legal: str) -> ApiError:
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def duplicate_values(name: str) -> ApiError:
    return ApiError(-1101, f"Duplicate values for parameter '{name}' detected.")


def missing(name: str) -> ApiError:
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def neither_sent(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def not_all_read(read: int, sent: int) -> ApiError:
    return ApiError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def empty(name: str) -> ApiError:
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> ApiError:
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def bad_time_in_force() -> ApiError:
    return ApiError(-1115, "Invalid timeInForce.")


def bad_order_type() -> ApiError:
    return ApiError(-1116, "Invalid orderType.")


def bad_side() -> ApiError:
    return ApiError(-1117, "Invalid side.")


def bad_symbol() -> ApiError:
    return ApiError(-1121, "Invalid symbol.")


def window_of_trades_too_long() -> ApiError:
    return ApiError(-1127, "More than 24 hours between startTime and endTime.")


def bad_interval() -> ApiError:
    return ApiError(-1120, "Invalid interval.")


def unsupported_combination() -> ApiError:
    return ApiError(-1014, "Unsupported order combination.")


def self_trade_mode_not_allowed() -> ApiError:
    return ApiError(-1013, "This symbol does not allow the specified self-trade prevention mode.")


def not_in_list() -> ApiError:
    return ApiError(-1158, "Order type not supported in OCO.")


def iceberg_needs_gtc(name: str, tif: str) -> ApiError:
    return ApiError(-1160, f"Parameter '{name}' is not supported if `{tif}` is not GTC.")


def misplaced_in_list(code: int, what: str, side: str, where: str) -> ApiError:
    return ApiError(code, f"A {what} order in a {side} OCO must be {where}.")


def none_contingent() -> ApiError:
    return ApiError(-1168, "At least one OCO order must be contingent.")


def no_such_list() -> ApiError:
    return ApiError(-2018, "Order list does not exist.")


def bad_combination() -> ApiError:
    return ApiError(-1128, "Combination of optional parameters invalid.")


def bad_value(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def unsupported() -> ApiError:
    return ApiError(-1020, "This operation is not supported.")


def no_such_order() -> ApiError:
    return ApiError(-2013, "Order does not exist.")


def already_subscribed() -> ApiError:
    return ApiError(-2035, "User Data Stream subscription already active.")


_REFUSALS: Mapping[Reason, tuple[int, str]] = {
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.SYMBOL_HALTED: (-1013, "Market is closed."),
    Reason.PRICE_FILTER: (-1013, "Filter failure: PRICE_FILTER"),
    Reason.LOT_SIZE: (-1013, "Filter failure: LOT_SIZE"),
    Reason.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Reason.DUPLICATE_ORDER: (-2010, "Duplicate order sent."),
    Reason.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Reason.INSUFFICIENT_BALANCE: (
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Reason.UNKNOWN_LIST: (-2011, "Unknown order list sent."),
    Reason.WOULD_TRIGGER: (-2010, "Order would trigger immediately."),
    Reason.PRICE_RELATION: (
        -2010,
        "The relationship of the prices for the orders is not correct.",
    ),
    Reason.ICEBERG_EXCEEDS: (-2010, "IcebergQty exceeds QTY."),
    Reason.ICEBERG_PARTS: (-1013, "Filter failure: ICEBERG_PARTS"),
    Reason.MAX_NUM_ICEBERG_ORDERS: (-1013, "Filter failure: MAX_NUM_ICEBERG_ORDERS"),
    Reason.MAX_NUM_ALGO_ORDERS: (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
    Reason.TRAILING_DELTA: (-1013, "Filter failure: TRAILING_DELTA"),
}


def of_refusal(reason: Reason) -> ApiError:
    """The answer to a request that the exchange refused."""
    code, message = _REFUSALS[reason]
    return ApiError(code, message)
