"""What a venue says of one symbol's market; told by more than one port."""

from dataclasses import dataclass

from workflows.domain.instruments import Instrument, Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRequest:
    """Whose market is asked for; the account decides the queue."""

    venue: str
    account: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSnapshot:
    """`instrument` is None when the venue does not list the symbol."""

    instrument: Instrument | None
    quote: Quote | None
