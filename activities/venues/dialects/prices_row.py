"""The part of a dialect row for public prices: trades, candles and the price stream.

It must not know the gateway, nor what prices are used for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activities.venues.dialects.listing import Params
from workflows.domain.prices import PublicTrade
from workflows.domain.triggers import Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrades:
    """How the trades of a market since a moment are read, page by page."""

    fetch: Callable[[Any, str, int, Params], Awaitable[list[Any]]]
    """(client, symbol, since_ms, page parameters) -> one page of ccxt trades."""
    next_page: Callable[[Sequence[PublicTrade], int], Params | None]
    """(a page, since_ms) -> parameters of the next; None after the last. TradesMissingError."""
    is_told: Callable[[object], bool] | None = None
    """True when a decoded answer holds a list, be it empty. None: an empty one is no proof."""


class TradesMissingError(Exception):
    """The venue does not tell all trades since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """The candles of a venue: lengths in ccxt's words with their ms, shortest first."""

    lengths: tuple[tuple[str, int], ...] = (("1m", 60_000),)
    page_size: int
    reach: int | None = None
    """So many newest candles are told and no older ones; None: the venue goes far back."""
    is_told: Callable[[object], bool] | None = None
    """True when a decoded answer holds a list; None: ccxt's word is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStream:
    """One public connection for one symbol, as told in the venue's own messages.

    ccxt keeps only the newest of what comes between two looks, and its own subscriptions are on
    several connections: a spike would be missed, and the order of events lost.
    """

    url: Callable[[Any], str]
    """(client) -> where to connect."""
    subscribe: Callable[[str], Mapping[str, Any]]
    """(the venue's id of a market) -> the message that subscribes."""
    topics: frozenset[str]
    """The stream is live when the venue has agreed to each of these."""
    agreed: Callable[[Any], str | None]
    """(message) -> the topic that the venue agrees to in it, if it does."""
    read: Callable[[Any, int], Sequence[Tick]]
    """(message, the venue's clock now) -> the prices in it, if any. UnreadableAnswerError."""


async def no_other_prices(client: Any, symbol: str) -> Mapping[str, Any]:
    """For venues that tell neither a mark nor an index price of spot markets."""
    del client, symbol
    return {}
