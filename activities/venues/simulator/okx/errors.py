"""OKX's own error codes, messages and HTTP statuses.

Rule: every refusal that leaves the exchange in this dialect is made here. What is wrong with one
order is told in its row; what is wrong with the request as a whole (`is_whole`: who sent it, when,
in what form) is told in the answer's own code and HTTP status.
"""

from activities.venues.simulator.orders import NewOrder, OrderType, Side
from activities.venues.simulator.refusals import Reason
from activities.venues.simulator.specs import SymbolSpec


class ApiError(Exception):
    """An answer with an error code; `status` is the HTTP status where no row can tell it."""

    def __init__(
        self, code: int, message: str, status: int = 200, *, is_whole: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.is_whole = code, message, status, is_whole


def _whole(code: int, message: str, status: int) -> ApiError:
    return ApiError(code, message, status, is_whole=True)


# --- the request as a whole ---------------------------------------------------------------------


def unknown_path() -> ApiError:
    return _whole(404, "Not Found", 404)


def wrong_method() -> ApiError:
    return _whole(50115, "Invalid request method.", 405)


def no_body() -> ApiError:
    return _whole(50000, "Body for POST request cannot be empty.", 400)


def bad_json() -> ApiError:
    return _whole(50002, "JSON syntax error", 400)


def bad_content_type() -> ApiError:
    return _whole(50006, 'Invalid Content-Type. Please use "application/JSON".', 400)


def missing_header(name: str, code: int) -> ApiError:
    return _whole(code, f'Request header "{name}" cannot be empty.', 401)


def unknown_key() -> ApiError:
    return _whole(50111, "Invalid OK-ACCESS-KEY.", 401)


def bad_timestamp() -> ApiError:
    return _whole(50112, "Invalid OK-ACCESS-TIMESTAMP.", 401)


def timestamp_expired() -> ApiError:
    return _whole(50102, "Timestamp request expired.", 401)


def bad_signature() -> ApiError:
    return _whole(50113, "Invalid signature.", 401)


def wrong_passphrase() -> ApiError:
    return _whole(50105, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', 401)


def expiry_passed() -> ApiError:
    """On arrival: the deadline that the request names was over before it came."""
    return _whole(
        50036,
        "The expTime can't be earlier than the current system time. "
        "Please adjust the expTime and try again.",
        200,
    )


def expired_on_the_way() -> ApiError:
    """After arrival: the deadline passed before the order came to the book."""
    return _whole(50037, "Order expired.", 200)


def bad_expiry() -> ApiError:
    return _whole(51000, "Parameter expTime error", 400)


def too_many_in_bulk(limit: int) -> ApiError:
    return _whole(51111, f"Maximum {limit} orders can be placed in bulk.", 200)


# --- parameters and orders ----------------------------------------------------------------------


def bad_parameter(name: str) -> ApiError:
    return ApiError(51000, f"Parameter {name} error", 400)


def missing(name: str) -> ApiError:
    return ApiError(50014, f"Parameter {name} can not be empty.", 400)


def not_an_instrument() -> ApiError:
    return ApiError(51001, "Instrument ID or Spread ID doesn't exist.")


def neither_id() -> ApiError:
    return ApiError(51003, "Either client order ID or order ID is required.")


def duplicate_client_id() -> ApiError:
    return ApiError(51016, "Client order ID already exists.")


def no_such_order() -> ApiError:
    return ApiError(51603, "Order does not exist")


def not_cancelable() -> ApiError:
    return ApiError(
        51400,
        "Order cancellation failed as the order has been filled, canceled or does not exist.",
    )


def of_new_order(reason: Reason, spec: SymbolSpec, wanted: NewOrder) -> ApiError:
    """Why the exchange refused an order, in the words that fit this order."""
    match reason:
        case Reason.PRICE_FILTER:
            return _of_price(spec, wanted)
        case Reason.LOT_SIZE:
            return _of_quantity(spec, wanted)
        case Reason.NOTIONAL:
            return ApiError(51203, f"Order amount exceeds the limit {spec.max_notional:f}.")
        case Reason.INSUFFICIENT_BALANCE:
            asset = spec.quote if wanted.side is Side.BUY else spec.base
            return ApiError(51008, f"Order failed. Insufficient {asset} balance in account")
        case Reason.DUPLICATE_ORDER:
            return duplicate_client_id()
        case Reason.SYMBOL_HALTED:
            return ApiError(51022, "Contract suspended.")
        case _:
            raise AssertionError(f"an order is not refused for {reason}")


def _of_price(spec: SymbolSpec, wanted: NewOrder) -> ApiError:
    if wanted.price > 0 and wanted.price % spec.tick:
        return bad_parameter("px")
    limits = f"max buy price: {spec.max_price:f} , min sell price: {spec.tick:f}"
    return ApiError(51006, f"Order price is not within the price limit ({limits} )")


def _of_quantity(spec: SymbolSpec, wanted: NewOrder) -> ApiError:
    quantity = wanted.quantity
    if quantity is None or quantity < spec.least_quantity:
        return ApiError(51020, "Your order should meet or exceed the minimum order amount.")
    if quantity <= spec.max_quantity:
        return ApiError(51121, "Order quantity must be a multiple of the lot size.")
    if wanted.type is OrderType.MARKET:
        return ApiError(51202, "Market order amount exceeds the maximum amount.")
    return ApiError(51005, "Your order amount exceeds the max order amount.")
