"""Binance's public endpoints on what is now: rules, book and tickers.

Rule: reads only. Each function takes the parameters, refuses what it does not know, and answers.
"""

from collections.abc import Callable
from typing import Any

from activities.venues.simulator.binance import errors, shapes
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec


class Symbols:
    """The venue's symbols by Binance's names."""

    def __init__(self, exchange: PaperExchange) -> None:
        # Looked up each time: the rules of a symbol may change.
        self._specs = exchange.engine.state.specs
        self._unified = {shapes.venue_symbol(spec): name for name, spec in self._specs.items()}

    def all(self) -> list[SymbolSpec]:
        """Every symbol."""
        return list(self._specs.values())

    def named(self, name: str) -> SymbolSpec:
        """Raises ApiError -1121 for a symbol that does not trade here."""
        unified = self._unified.get(name)
        if unified is None:
            raise errors.bad_symbol()
        return self._specs[unified]

    def one(self, params: Params) -> SymbolSpec:
        """The mandatory parameter `symbol`."""
        return self.named(params.required("symbol"))

    def wanted(self, params: Params) -> tuple[list[SymbolSpec], bool]:
        """Those of `symbol` or `symbols`, else all; and whether just one was asked for."""
        single, several = params.text("symbol"), params.names("symbols")
        if single is not None and several is not None:
            raise errors.bad_combination()
        if single is not None:
            return [self.named(single)], True
        return [self.named(name) for name in several] if several else self.all(), False


class MarketData:
    """The public endpoints of one exchange."""

    def __init__(self, exchange: PaperExchange, symbols: Symbols) -> None:
        self._exchange, self._symbols = exchange, symbols

    def ping(self, params: Params) -> Json:
        """GET /ping."""
        params.finish()
        return {}

    def time(self, params: Params) -> Json:
        """GET /time."""
        params.finish()
        return {"serverTime": self._exchange.now_ms()}

    def exchange_info(self, params: Params) -> Json:
        """GET /exchangeInfo."""
        specs, _ = self._symbols.wanted(params)
        params.finish()
        halted = self._exchange.engine.halted
        return {
            "timezone": "UTC",
            "serverTime": self._exchange.now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [shapes.symbol_info(spec, halted=spec.name in halted) for spec in specs],
        }

    def depth(self, params: Params) -> Json:
        """GET /depth."""
        spec, limit = self._symbols.one(params), params.limit(100, 5_000)
        params.finish()
        return shapes.depth(self._exchange.engine.books[spec.name], limit)

    def price(self, params: Params) -> Any:
        """GET /ticker/price."""
        tapes = self._exchange.engine.tapes
        return self._each(
            params,
            lambda spec: {
                "symbol": shapes.venue_symbol(spec),
                "price": shapes.number(tapes[spec.name].last),
            },
        )

    def book_ticker(self, params: Params) -> Any:
        """GET /ticker/bookTicker."""
        books = self._exchange.engine.books
        return self._each(params, lambda spec: shapes.book_ticker(spec, books[spec.name]))

    def day_ticker(self, params: Params) -> Any:
        """GET /ticker/24hr; the figures cover the time since the exchange started."""
        engine, now_ms = self._exchange.engine, self._exchange.now_ms()
        return self._each(
            params,
            lambda spec: shapes.day_ticker(
                spec, engine.books[spec.name], engine.tapes[spec.name], now_ms
            ),
        )

    def _each(self, params: Params, shape: Callable[[SymbolSpec], Json]) -> Any:
        specs, single = self._symbols.wanted(params)
        params.finish()
        shown = [shape(spec) for spec in specs]
        return shown[0] if single else shown
