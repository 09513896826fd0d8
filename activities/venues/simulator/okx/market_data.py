"""OKX's public endpoints on what is now: instruments, book, tickers, mark and index prices.

Rule: reads only. Each function takes the parameters, refuses what it does not know, and answers.
"""

from activities.venues.simulator.okx import errors, public_shapes, shapes
from activities.venues.simulator.okx.params import Params
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec

MAX_LEVELS, MAX_LEVELS_OF_FULL_BOOK = 400, 5_000


class Instruments:
    """The venue's symbols by OKX's names."""

    def __init__(self, exchange: PaperExchange) -> None:
        # Looked up each time: the rules of a symbol may change.
        self._specs = exchange.engine.state.specs
        self._unified = {shapes.instrument_id(spec): name for name, spec in self._specs.items()}

    def all(self) -> list[SymbolSpec]:
        """Every instrument."""
        return list(self._specs.values())

    def of(self, unified: str) -> SymbolSpec:
        """The rules of a symbol that is known to trade here."""
        return self._specs[unified]

    def named(self, name: str) -> SymbolSpec:
        """Raises ApiError 51001 for an instrument that does not trade here."""
        unified = self._unified.get(name)
        if unified is None:
            raise errors.not_an_instrument()
        return self._specs[unified]

    def one(self, params: Params) -> SymbolSpec:
        """The mandatory parameter `instId`."""
        return self.named(params.required("instId"))

    def maybe(self, params: Params) -> SymbolSpec | None:
        """The parameter `instId`; None if absent."""
        name = params.text("instId")
        return None if name is None else self.named(name)


class MarketData:
    """The public endpoints of one exchange."""

    def __init__(self, exchange: PaperExchange, instruments: Instruments) -> None:
        self._exchange, self._instruments = exchange, instruments

    def time(self, params: Params) -> list[Json]:
        """GET /public/time."""
        params.finish()
        return [{"ts": str(self._exchange.now_ms())}]

    def instruments(self, params: Params) -> list[Json]:
        """GET /public/instruments."""
        params.product(required=True)
        wanted = self._instruments.maybe(params)
        params.finish()
        halted = self._exchange.engine.halted
        specs = self._instruments.all() if wanted is None else [wanted]
        return [shapes.instrument(spec, halted=spec.name in halted) for spec in specs]

    def book(self, params: Params) -> list[Json]:
        """GET /market/books; one level unless asked for more."""
        return self._book(params, MAX_LEVELS)

    def full_book(self, params: Params) -> list[Json]:
        """GET /market/books-full."""
        return self._book(params, MAX_LEVELS_OF_FULL_BOOK)

    def ticker(self, params: Params) -> list[Json]:
        """GET /market/ticker; the figures cover the time since the exchange started."""
        spec = self._instruments.one(params)
        params.finish()
        return [self._ticker(spec)]

    def tickers(self, params: Params) -> list[Json]:
        """GET /market/tickers."""
        params.product(required=True)
        params.finish()
        return [self._ticker(spec) for spec in self._instruments.all()]

    def index_tickers(self, params: Params) -> list[Json]:
        """GET /market/index-tickers: one instrument, or all of a quote currency."""
        wanted, quote = self._instruments.maybe(params), params.text("quoteCcy")
        params.finish()
        if wanted is None and quote is None:
            raise errors.missing("instId")
        specs = self._instruments.all() if wanted is None else [wanted]
        return [self._index(spec) for spec in specs if quote in (None, spec.quote)]

    def mark_prices(self, params: Params) -> list[Json]:
        """GET /public/mark-price, of pairs that margin trades in; clients leave the type out."""
        wanted, product = self._instruments.maybe(params), params.text("instType")
        params.finish()
        if product not in (None, public_shapes.MARGIN):
            raise errors.bad_parameter("instType")
        specs = self._instruments.all() if wanted is None else [wanted]
        return [self._mark(spec) for spec in specs]

    def _book(self, params: Params, largest: int) -> list[Json]:
        spec, size = self._instruments.one(params), params.limit(1, largest, "sz")
        params.finish()
        found = self._exchange.engine.books[spec.name]
        return [shapes.book(found, size, self._exchange.now_ms())]

    def _ticker(self, spec: SymbolSpec) -> Json:
        engine = self._exchange.engine
        book, tape = engine.books[spec.name], engine.tapes[spec.name]
        return shapes.ticker(spec, book, tape, self._exchange.now_ms())

    def _index(self, spec: SymbolSpec) -> Json:
        engine = self._exchange.engine
        book, tape = engine.books[spec.name], engine.tapes[spec.name]
        return public_shapes.index_ticker(spec, book, tape, self._exchange.now_ms())

    def _mark(self, spec: SymbolSpec) -> Json:
        engine = self._exchange.engine
        book, tape = engine.books[spec.name], engine.tapes[spec.name]
        return public_shapes.mark_price(spec, book, tape, self._exchange.now_ms())
