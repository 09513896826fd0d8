"""What differs from venue to venue behind the one gateway: a table, one row per venue.

A row says how our order id is written and recognised, which parameter bounds a request's life,
where an order is looked up, how trades are paged, and which error codes are no rejection.
Everything that ccxt unifies correctly stays out of it. It must not know the gateway.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CcxtOrder = Mapping[str, Any]
LookUp = Callable[[Any, str, str, int], Awaitable[CcxtOrder]]

_CANONICAL_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueErrorText:
    """The error of a venue's answer: its own code and its own words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One venue. Hosts are the only ones that its client may talk to."""

    hosts: frozenset[str]
    sandbox_hosts: frozenset[str] = frozenset()
    """Empty: the venue has no sandbox."""
    ccxt_config: Mapping[str, Any] = field(default_factory=dict)
    """Merged into the ccxt class's own configuration."""

    render_id: Callable[[str], str]
    """Our canonical id (32 hex digits) as the venue takes it."""
    parse_id: Callable[[str | None], str | None]
    """The canonical id back from the venue's text; None when the order is not ours."""
    create_params: Callable[[int], Mapping[str, str]]
    """Extra parameters of an order, given the request's life in ms. Text only: ccxt drops
    other kinds of numbers from parameters without a word."""
    look_up: LookUp
    """(client, symbol, rendered id, since_ms) -> ccxt order, or ccxt's OrderNotFound."""

    order_fields: frozenset[str]
    """What an order must tell: where one is missing ccxt infers it from the others."""
    is_list: Callable[[object], bool]
    """True when a decoded answer holds a list (of orders, of trades), be it empty. ccxt takes
    anything else for an empty one."""
    is_balances: Callable[[object], bool]
    """The same for balances."""

    trade_number: Callable[[str], int]
    """A trade id as a number that grows with time."""
    trade_page: Callable[[int], Mapping[str, str]]
    """Parameters that ask for trades from this number on, oldest first."""
    trade_page_size: int

    read_error: Callable[[object], VenueErrorText | None]
    """The error in a decoded JSON answer, if it is one."""
    not_rejections: frozenset[str] = frozenset()
    """Codes that ccxt files under rejections although the order may be live."""
    duplicate_id: Callable[[VenueErrorText], bool]
    """True when the venue says that our id exists: then so does the order."""

    stream_topics: frozenset[str]
    """ccxt waits for exactly these once the private subscription is acknowledged."""
    stream_ignored: frozenset[str] = frozenset()
    """Events that carry no order; ccxt fails on some of them when they come early."""
    stream_ended: frozenset[str] = frozenset()
    """Events after which no order event follows, though the connection stays up."""


def _same_id(client_order_id: str) -> str:
    return client_order_id


def _recognise_hex_id(text: str | None) -> str | None:
    return text if text is not None and _CANONICAL_ID.fullmatch(text) else None


def _binance_create_params(validity_window_ms: int) -> Mapping[str, str]:
    return {"recvWindow": str(validity_window_ms)}


async def _binance_look_up(
    client: Any, symbol: str, rendered_id: str, since_ms: int
) -> CcxtOrder:  # one endpoint finds open, filled and cancelled orders, of any age
    del since_ms
    order: CcxtOrder = await client.fetch_order(None, symbol, {"clientOrderId": rendered_id})
    return order


def _binance_trade_page(first: int) -> Mapping[str, str]:
    return {"fromId": str(first)}


def _binance_error(answer: object) -> VenueErrorText | None:
    if not isinstance(answer, dict) or "code" not in answer:
        return None
    return VenueErrorText(code=str(answer["code"]), message=str(answer.get("msg", "")))


def _binance_is_list(answer: object) -> bool:
    return isinstance(answer, list)


def _binance_is_balances(answer: object) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("balances"), list)


def _binance_duplicate(error: VenueErrorText) -> bool:
    # -2010 is every refusal of a new order; only the text tells a duplicate.
    return error.code == "-2010" and "duplicate" in error.message.lower()


def _binance(
    hosts: frozenset[str], sandbox_hosts: frozenset[str], ccxt_config: Mapping[str, Any]
) -> Dialect:
    return Dialect(
        hosts=hosts,
        sandbox_hosts=sandbox_hosts,
        ccxt_config=ccxt_config,
        render_id=_same_id,
        parse_id=_recognise_hex_id,
        create_params=_binance_create_params,
        look_up=_binance_look_up,
        order_fields=frozenset({"orderId", "status", "origQty", "executedQty"}),
        is_list=_binance_is_list,
        is_balances=_binance_is_balances,
        trade_number=int,
        trade_page=_binance_trade_page,
        trade_page_size=1000,
        read_error=_binance_error,
        # unknown, disconnected, unexpected response, timeout, busy, shutting down, archived
        not_rejections=frozenset({"-1000", "-1001", "-1006", "-1007", "-1008", "-1016", "-2026"}),
        duplicate_id=_binance_duplicate,
        stream_topics=frozenset({"orders", "myTrades"}),
        stream_ignored=frozenset(
            {"outboundAccountPosition", "balanceUpdate", "externalLockUpdate"}
        ),
        stream_ended=frozenset({"eventStreamTerminated"}),
    )


def _ws_api(url: str) -> Mapping[str, Any]:
    return {"urls": {"api": {"ws": {"ws-api": {"spot": url}}}}}


DIALECTS: Mapping[str, Dialect] = {
    "binance": _binance(
        frozenset({"api.binance.com", "ws-api.binance.com"}),
        frozenset({"testnet.binance.vision", "ws-api.testnet.binance.vision"}),
        {},
    ),
    # ccxt's class would log in at binance.com with a Binance US key.
    "binanceus": _binance(
        frozenset({"api.binance.us", "ws-api.binance.us"}),
        frozenset(),
        _ws_api("wss://ws-api.binance.us:443/ws-api/v3"),
    ),
}


def dialect_of(venue: str) -> Dialect:
    """The row of a venue. ValueError when there is none."""
    if venue not in DIALECTS:
        raise ValueError(f"venue {venue!r} is not one of {', '.join(sorted(DIALECTS))}")
    return DIALECTS[venue]
