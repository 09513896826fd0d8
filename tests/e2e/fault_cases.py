"""The faults that single orders meet, and how an order that met one must end.

Data: a row is the rules that are aimed at one order, how the test lets that order end, and its
right end. Every row runs for market and limit, buy and sell, except where it says otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Any

from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id

QUANTITY = Decimal("0.01")
FAR = {"buy": Decimal(49_900), "sell": Decimal(50_100)}
"""Where nobody trades unless told to."""
OTHER_ID = client_order_id("somebody-else", 0)
PLACE = {"method": "POST", "path": "/order"}
LOOK_UP = {"method": "GET", "path": "/order"}
CANCEL = {"method": "DELETE", "path": "/order"}
TRADES = {"method": "GET", "path": "/myTrades"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One rule: a fault at one endpoint."""

    fault: str
    at: dict[str, str] = field(default_factory=lambda: PLACE)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What goes wrong, and the right end. A limit order is filled, or cancelled if `cancels`.

    `is_unheard`: the private stream does not tell of the order's placing, so that it must be
    looked up. `may_miss`: the fault is over after a moment, and an order may come too late for it;
    then another order tries.
    """

    name: str
    aims: tuple[Aim, ...]
    end: OrderStatus = OrderStatus.FILLED
    order_types: tuple[str, ...] = ("market", "limit")
    cancels: bool = False
    is_unheard: bool = False
    may_miss: bool = False
    quantity: Decimal = QUANTITY
    filled: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row for one kind of order."""

    row: Row
    order_type: str
    side: str

    @property
    def id(self) -> str:
        return f"{self.row.name}-{self.order_type}-{self.side}"

    @property
    def aims(self) -> tuple[Aim, ...]:
        if not self.row.is_unheard:
            return self.row.aims
        # All of a market order is its placing; a limit order is filled later, and heard of then.
        events = {"kind": "any", "times": 0} if self.order_type == "market" else {"kind": "NEW"}
        return (*self.row.aims, Aim(fault="event_lost", at={}, options=events))

    def fields(self) -> dict[str, Any]:
        """The order's fields that differ from the usual ones."""
        wanted = {"order_type": self.order_type, "side": self.side, "quantity": self.row.quantity}
        return wanted if self.order_type == "market" else wanted | {"price": FAR[self.side]}


def _placing(name: str, fault: str | None = None, **options: Any) -> Row:
    return Row(name=name, aims=(Aim(fault=fault or name, options=options),))


_PLACING = (
    _placing("drop_before"),
    _placing("hang_before"),
    _placing("drop_after"),
    _placing("hang_after"),
    _placing("accept_then_timeout"),
    _placing("accept_then_reset"),
    _placing("accept_then_5xx"),
    _placing("accept_then_5xx_of_a_proxy", "accept_then_5xx", status=504, body="upstream"),
    _placing("reject_then_timeout"),
    _placing("late_within_its_window", "late", delay_s=0.2),
    _placing("late_beyond_its_window", "late", delay_s=0.8),
    _placing("answer_late", delay_s=0.2),
    _placing("answer_twice"),
    _placing("rate_limited"),
    _placing("rate_limited_with_a_time", "rate_limited", retry_after_s=1),
    _placing("firewall"),
    _placing("server_error"),
    _placing("maintenance"),
    _placing("maintenance_page", "maintenance", html=True),
    _placing("code_1006", "unknown_code", code=-1006),
    _placing("code_1006_executed", "unknown_code", code=-1006, executed=True),
    _placing("code_1007", "unknown_code", code=-1007, status=408),
    _placing("code_1007_executed", "unknown_code", code=-1007, status=408, executed=True),
    _placing("bad_timestamp"),
    _placing("html"),
    _placing("empty"),
    _placing("empty_object", "empty", body="{}"),
    _placing("truncated"),
    _placing("cut_connection", "truncated", cut="connection"),
    _placing("not_utf8"),
    _placing("nan"),
    _placing("extra_fields"),
    _placing("missing_fields"),
    _placing("unknown_status", "replace_fields", fields={"status": "PENDING_NEW"}),
    _placing("somebody_elses_order", "replace_fields", fields={"clientOrderId": OTHER_ID}),
    _placing("more_than_was_asked", "replace_fields", fields={"executedQty": "7.0"}),
    _placing("verbatim", "answer", body=[]),
    _placing("event_before_ack"),
    Row(
        name="refused",
        aims=(Aim(fault="refuse", options={"message": "Filter failure: MAX_POSITION"}),),
        end=OrderStatus.REJECTED,
        filled=Decimal(0),
    ),
)


def _reading(name: str, fault: str, at: dict[str, str] = LOOK_UP, **options: Any) -> Row:
    """The answer to the order is lost, and what is then read about it goes wrong too."""
    lost = Aim(fault="accept_then_reset")
    wrong = Aim(fault=fault, at=at, options=options)
    may_miss = fault == "not_found"
    return Row(name=f"lost_then_{name}", aims=(lost, wrong), is_unheard=True, may_miss=may_miss)


_READING = (
    _reading("not_found", "not_found", for_s=0.9),
    _reading("rate_limited", "rate_limited", retry_after_s=1),
    _reading("server_error", "server_error"),
    _reading("hang", "hang_before"),
    _reading("html", "html"),
    _reading("empty", "empty"),
    _reading("truncated", "truncated"),
    _reading("nan", "nan"),
    _reading("missing_fields", "missing_fields"),
    _reading("somebody_elses_order", "replace_fields", fields={"clientOrderId": OTHER_ID}),
    _reading("bad_timestamp", "bad_timestamp"),
)
_TRADES = tuple(
    Row(
        name=f"lost_then_{name}",
        aims=(
            Aim(fault="accept_then_reset"),
            Aim(fault=fault, at=TRADES, options=options),
        ),
        order_types=("market",),
        is_unheard=True,
        quantity=Decimal("0.3"),
    )
    for name, fault, options in (
        ("page_gap", "page_gap", {}),
        ("page_overlap", "page_overlap", {"repeat": 2}),
        ("trades_of_html", "html", {}),
        ("trades_with_nan", "nan", {}),
    )
)


def _cancelling(
    name: str,
    *aims: Aim,
    end: OrderStatus = OrderStatus.CANCELLED,
    filled: Decimal | None = Decimal(0),
) -> Row:
    name = f"cancel_{name}"
    return Row(name=name, aims=aims, cancels=True, order_types=("limit",), end=end, filled=filled)


def _at_cancel(fault: str, **options: Any) -> Aim:
    return Aim(fault=fault, at=CANCEL, options=options)


_CANCELLING = (
    _cancelling("unacked", _at_cancel("cancel_unacked")),
    _cancelling("hanging", _at_cancel("hang_before")),
    _cancelling("acked_by_a_reset", _at_cancel("accept_then_reset")),
    _cancelling("met_by_a_server_error", _at_cancel("server_error")),
    _cancelling("rate_limited", _at_cancel("rate_limited", retry_after_s=1)),
    _cancelling("denied_wrongly", _at_cancel("refuse", code=-2011, message="Unknown order sent.")),
    _cancelling("answered_with_html", _at_cancel("html")),
    _cancelling("without_fields", _at_cancel("missing_fields")),
    _cancelling(
        "after_the_fill", _at_cancel("fill_first"), end=OrderStatus.FILLED, filled=QUANTITY
    ),
    _cancelling(
        "after_a_partial_fill",
        _at_cancel("fill_first", quantity="0.004"),
        filled=Decimal("0.004"),
    ),
    _cancelling(
        "unacked_after_the_fill",
        _at_cancel("fill_first"),
        _at_cancel("accept_then_reset"),
        end=OrderStatus.FILLED,
        filled=QUANTITY,
    ),
)


def cases() -> Iterator[Case]:
    """Every row for every kind of order that it is about."""
    for row in (*_PLACING, *_READING, *_TRADES, *_CANCELLING):
        for order_type, side in product(row.order_types, ("buy", "sell")):
            yield Case(row=row, order_type=order_type, side=side)
