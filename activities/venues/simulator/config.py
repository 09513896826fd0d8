"""What a paper exchange is told when it starts.

Rule: frozen and checked once, here. Never prints a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from activities.venues.simulator.specs import (
    START_BALANCES,
    FeeRates,
    SymbolSpec,
    fees_of,
    symbols_of,
)

DIALECTS = ("binance", "okx")
_WITH_PASSPHRASE = ("okx",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperAccount:
    """Credentials of one account and what it holds when it is first seen.

    `passphrase` where the dialect signs in with one, else empty.
    """

    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    passphrase: str = field(default="", repr=False)
    balances: Mapping[str, Decimal] = field(default_factory=lambda: dict(START_BALANCES))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperExchangeConfig:
    """One venue. Without `symbols` or `fees` the tables of `specs.py` for `name` hold.

    `port` 0 takes a free one. `speed` multiplies the pace of `replay` (a trades CSV). `live_market`
    False keeps the opening quotes and moves nothing (for tests). `control_port` opens the port that
    sets faults, on loopback (0: a free one); None: there are none. Raises ValueError for a bad
    value.
    """

    name: str
    data_dir: Path
    accounts: Mapping[str, PaperAccount]
    host: str = "127.0.0.1"
    port: int = 0
    dialect: str = "binance"
    symbols: tuple[SymbolSpec, ...] = ()
    fees: FeeRates | None = None
    seed: int = 7
    replay: Path | None = None
    speed: float = 1.0
    live_market: bool = True
    control_port: int | None = None

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ValueError(f"unknown dialect {self.dialect!r} (known: {', '.join(DIALECTS)})")
        if not self.accounts:
            raise ValueError("a paper exchange needs at least one account")
        if not 0 < self.speed <= 1_000_000:
            raise ValueError("speed must be above 0 and at most 1,000,000")
        if self.control_port is not None and not 0 <= self.control_port <= 65_535:
            raise ValueError("the control port must be from 0 to 65,535")
        keys = [account.api_key for account in self.accounts.values()]
        if len(set(keys)) != len(keys) or not all(keys):
            raise ValueError("each account needs an API key of its own")
        if self.dialect in _WITH_PASSPHRASE and not all(
            account.passphrase for account in self.accounts.values()
        ):
            raise ValueError(f"the dialect {self.dialect!r} needs a passphrase for each account")

    def specs(self) -> tuple[SymbolSpec, ...]:
        """The symbols that trade here."""
        return self.symbols or symbols_of(self.name)

    def fee_rates(self) -> FeeRates:
        """The fees that hold here."""
        return self.fees or fees_of(self.name)
