"""The shape of a row of the dialect table: all that differs from venue to venue.

A row says how our order id is written and recognised, what bounds a request's life and when a
look-up that finds nothing is proof, where orders and trades are read, and what error codes mean.
Everything that ccxt unifies correctly stays out of it. It must not know the gateway.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from activities.venues.dialects.listing import Params
from activities.venues.dialects.native_row import NativeOrders
from activities.venues.dialects.prices_row import (
    Candles,
    PriceStream,
    PublicTrades,
    no_other_prices,
)
from workflows.domain.reports import RejectionFamily

CcxtOrder = Mapping[str, Any]
CcxtTrade = Mapping[str, Any]
CcxtFees = Mapping[str, Any]
LookUp = Callable[[Any, str, str, int], Awaitable[CcxtOrder]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueErrorText:
    """The error of a venue's answer: its own code and its own words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLife:
    """How long a signed order request can still be executed, ms after its timestamp.

    Where the venue documents a limit, the configured window within `shortest_ms` and
    `longest_ms` is sent with each order. Where it does not, `assumed_ms` is waited, and a look-up
    that finds nothing never proves a market order absent: a wrong guess would buy twice.
    """

    shortest_ms: int = 1
    longest_ms: int = 60_000
    assumed_ms: int | None = None

    @property
    def is_documented(self) -> bool:
        """True when the venue itself refuses an order request that comes too late."""
        return self.assumed_ms is None

    def life_ms(self, window_ms: int) -> int:
        """The life of a request, given the configured window (both ms)."""
        if self.assumed_ms is not None:
            return self.assumed_ms
        return min(max(window_ms, self.shortest_ms), self.longest_ms)


UNDOCUMENTED_LIFE = RequestLife(assumed_ms=120_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesByNumber:
    """Trade ids are numbers that grow with time, and the venue lists trades from a number on."""

    number: Callable[[str], int]
    page: Callable[[int], Params]
    """Parameters that ask for trades from this number on, oldest first."""
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesByTime:
    """Trade ids have no order, so a span of time is read page by page, newest trade first."""

    fetch: Callable[[Any, str, int, int, Params], Awaitable[list[Any]]]
    """(client, symbol, since_ms, until_ms, page parameters) -> one page of ccxt trades."""
    next_page: Callable[[Any, Params], Params | None]
    """(decoded answer, its page parameters) -> those of the next page; None after the last."""
    span_ms: int
    """The longest span that one request may cover."""


def same_order(order: CcxtOrder) -> CcxtOrder:
    """For venues whose orders ccxt reads right."""
    return order


def same_trade(trade: CcxtTrade) -> CcxtTrade:
    """For venues whose trades ccxt reads right."""
    return trade


def same_orders() -> Callable[[CcxtOrder], CcxtOrder]:
    """For venues whose orders each stand for themselves."""
    return same_order


def tells_nothing(error: VenueErrorText) -> bool:
    """For venues whose words ccxt knows."""
    del error
    return False


def no_headers(valid_until_ms: int) -> Mapping[str, str]:
    """For venues that take no deadline in a header."""
    del valid_until_ms
    return {}


def no_self_trade(entry: Mapping[str, Any], only_reduces: bool) -> Mapping[str, str]:
    """For venues that are not told what to do with a trade between two of our orders."""
    del entry, only_reduces
    return {}


def no_options(life_ms: int) -> Mapping[str, Any]:
    """For venues whose ccxt class needs no option for the request's life."""
    del life_ms
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One venue. Hosts are the only ones that its client may talk to."""

    hosts: frozenset[str]
    sandbox_hosts: frozenset[str] = frozenset()
    """Empty: the venue has no sandbox."""
    is_on_paper: bool = False
    """The paper exchange speaks this dialect."""
    needs_passphrase: bool = False
    ccxt_config: Mapping[str, Any] = field(default_factory=dict)
    """Merged into the ccxt class's own configuration."""
    ccxt_options: Callable[[int], Mapping[str, Any]] = no_options
    """ccxt options, given the request's life in ms."""
    market_params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of ccxt's load_markets."""
    counts_nonces: bool = False
    """The nonce of each request must be larger than that of the one before: it is never pinned."""

    render_id: Callable[[str], str]
    """Our canonical id (32 hex digits) as the venue takes it."""
    parse_id: Callable[[str | None], str | None]
    """The canonical id back from the venue's text; None when the order is not ours."""
    id_param: str = "clientOrderId"
    """The parameter of create_order that carries the id."""
    create_params: Callable[[int, int], Mapping[str, str | bool]]
    """Extra parameters of an order, given its life in ms and the venue's time in ms when that
    ends. Text only: ccxt drops other kinds of numbers from parameters without a word."""
    create_headers: Callable[[int], Mapping[str, str]] = no_headers
    """Extra headers of an order, given the venue's time in ms when its life ends."""
    self_trade: Callable[[Mapping[str, Any], bool], Mapping[str, str]] = no_self_trade
    """(the venue's own entry of the symbol, whether the order only reduces a position) ->
    parameters of an order by which the account does not trade with itself: the new order ends, or
    where it only reduces the one that rests."""
    request_life: RequestLife
    native: NativeOrders | None = None
    """None: the venue works no hidden size and no triggers that are spoken here."""
    buys_market_by_quote: bool = False
    """A market buy names the money to spend, not the quantity: such an order is refused here."""
    look_up: LookUp
    """(client, symbol, rendered id, since_ms) -> ccxt order, or ccxt's OrderNotFound."""
    read_order: Callable[[Any, str, str], Awaitable[CcxtOrder]]
    """(client, symbol, venue order id) -> ccxt order, or ccxt's OrderNotFound."""
    cancel: Callable[[Any, str, str], Awaitable[None]]
    """(client, symbol, venue order id)."""
    open_orders: Callable[[Any, str], Awaitable[list[Any]]]
    """(client, symbol) -> every open ccxt order."""
    order_trades: Callable[[Any, str, CcxtOrder], Awaitable[list[Any]]]
    """(client, symbol, ccxt order) -> every ccxt trade of the order."""
    trades: TradesByNumber | TradesByTime

    cancel_all_after: Callable[[Any, int], Awaitable[object]] | None = None
    """(client, seconds): set the timer, anew each time, at whose end the venue cancels every order
    of the account. None: the venue has none."""

    fees: Callable[[Any, str], Awaitable[CcxtFees]]
    """(client, symbol) -> the account's `maker` and `taker` rates, positive where it pays."""
    buys_pay_base: bool
    """The fee of a buy is taken from what was bought, unless the account pays in a third asset."""
    book_sizes: tuple[int, ...] = ()
    """The numbers of levels that may be asked for, smallest first. Empty: any."""

    order_fields: frozenset[str]
    """What an order must tell: where one is missing ccxt infers it from the others."""
    order_blank_fields: frozenset[str] = frozenset()
    """What it must tell too, be it as an empty text: no id is no word about whose order it is."""
    ack_fields: frozenset[str] = frozenset()
    """What the answer to a new order tells where that is no order yet; empty: it is one."""
    is_list: Callable[[object], bool]
    """True when a decoded answer holds a list (of orders, of trades), be it empty. ccxt takes
    anything else for an empty one."""
    is_balances: Callable[[object], bool]
    """The same for balances."""
    amend_order: Callable[[CcxtOrder], CcxtOrder] = same_order
    """Puts right what ccxt reads wrongly in an order."""
    amend_trade: Callable[[CcxtTrade], CcxtTrade] = same_trade
    """The same for a trade."""

    read_error: Callable[[object], VenueErrorText | None]
    """The error in a decoded JSON answer, if it is one."""
    not_rejections: frozenset[str] = frozenset()
    """Codes that ccxt files under rejections although the order may be live."""
    refusals: Mapping[str, RejectionFamily] = field(default_factory=dict)
    """Codes that refuse an order for certain, which ccxt does not file under rejections."""
    refuses_price: Callable[[VenueErrorText], bool] = tells_nothing
    """True when an order is refused, for certain, because the market is not where its prices want
    it, which ccxt does not know."""
    duplicate_id: Callable[[VenueErrorText], bool]
    """True when the venue says that our id exists: then so does the order."""
    tells_absence: Callable[[VenueErrorText], bool] = tells_nothing
    """True when a read's or a cancel's error says, unknown to ccxt, that the order is not there."""

    public_trades: PublicTrades
    candles: Candles
    other_prices: Callable[[Any, str], Awaitable[Mapping[str, Any]]] = no_other_prices
    """(client, symbol) -> `mark` and `index` price, where the venue tells them."""
    price_stream: PriceStream | None = None
    """None: the ticker is asked again and again."""

    stream_topics: frozenset[str] = frozenset()
    """ccxt waits for exactly these while it is subscribed. Empty: the account is followed by
    polling alone."""
    stream_agreed: Callable[[object], bool] | None = None
    """True for the message by which the venue agrees to the subscription, where ccxt waits for
    its topics before that. None: it waits for them only once the venue has agreed."""
    join_pushed_orders: Callable[[], Callable[[CcxtOrder], CcxtOrder]] = same_orders
    """A reader of the orders that one stream pushes, for venues where several are one of ours."""
    amend_pushed_trade: Callable[[CcxtTrade], CcxtTrade | None] = same_trade
    """Puts right what ccxt reads wrongly in a trade of the stream; None: it is no trade."""
    stream_ignored: frozenset[str] = frozenset()
    """Events that carry no order; ccxt fails on some of them when they come early."""
    stream_ended: frozenset[str] = frozenset()
    """Events after which no order event follows, though the connection stays up."""
