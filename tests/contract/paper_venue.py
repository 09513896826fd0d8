"""A served paper exchange and the unmodified ccxt class that talks to it, for contract tests."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt.pro

from activities.venues.rewriting_session import RewritingSession
from activities.venues.simulator.orders import Side
from activities.venues.simulator.seams import RequestHooks
from activities.venues.simulator.server import (
    PaperAccount,
    PaperExchangeConfig,
    RunningExchange,
    running,
)

KEY, SECRET = "test-key-of-main", "test-secret-of-main"
OTHER_KEY, OTHER_SECRET = "test-key-of-other", "test-secret-of-other"
PASSPHRASE = "test-passphrase"
PAIR = "BTC/USDT"
_HOSTS = (
    *("api.binance.com", "ws-api.binance.com", "api.binance.us"),
    *("stream.binance.com", "stream.binance.us"),
    *("www.okx.com", "ws.okx.com"),
)
_OPTIONS = {
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "fetchCurrencies": False,
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "recvWindow": 5000,
}


@dataclass
class Venue:
    """What a test needs: the ccxt client, and the exchange behind it."""

    served: RunningExchange
    client: Any
    sessions: list[RewritingSession] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return self.served.exchange.journal.path

    def another_client(
        self, key: str = KEY, secret: str = SECRET, passphrase: str = PASSPHRASE
    ) -> Any:
        """A further client, closed with the venue."""
        name = self.served.exchange.config.name
        made, session = ccxt_client(name, self.served.base_url, key, secret, passphrase)
        self.clients.append(made)
        self.sessions.append(session)
        return made

    async def best(self, side: str) -> Decimal:
        """Best price of `bids` or `asks`."""
        return Decimal(str((await self.client.fetch_order_book(PAIR, 5))[side][0][0]))

    async def trade_against(self, side: str, quantity: str) -> None:
        """Let the market take `quantity` (base) with an order of `side`."""
        exchange = self.served.exchange
        exchange.engine.flow(PAIR, Side(side), Decimal(quantity), None, exchange.now_ms())
        exchange.commit()


def config(name: str, data_dir: Path, **changes: Any) -> PaperExchangeConfig:
    """Two accounts, a market that stands still, in the dialect of the venue that is meant."""
    accounts = {
        "main": PaperAccount(api_key=KEY, secret=SECRET, passphrase=PASSPHRASE),
        "other": PaperAccount(api_key=OTHER_KEY, secret=OTHER_SECRET, passphrase=PASSPHRASE),
    }
    defaults = {
        "name": name,
        "dialect": "okx" if name == "okx" else "binance",
        "data_dir": data_dir,
        "accounts": accounts,
        "live_market": False,
    }
    return PaperExchangeConfig(**(defaults | changes))


def ccxt_client(
    name: str,
    base_url: str,
    key: str = KEY,
    secret: str = SECRET,
    passphrase: str = PASSPHRASE,
) -> tuple[Any, RewritingSession]:
    """The real ccxt.pro class, its hosts mapped to the paper exchange."""
    session = RewritingSession(dict.fromkeys(_HOSTS, base_url))
    settings = {"apiKey": key, "secret": secret, "session": session, "enableRateLimit": False}
    settings |= {"password": passphrase, "options": dict(_OPTIONS)}
    client = getattr(ccxt.pro, name)(settings)
    client.timeout_on_exit = 0  # ms; ccxt waits for sessions of its own, and this one is ours
    client.has["fetchCurrencies"] = False  # okx looks at this, the others at the option
    client.number = str
    return client, session


@contextlib.asynccontextmanager
async def open_venue(
    name: str, data_dir: Path, hooks: RequestHooks | None = None, **changes: Any
) -> AsyncIterator[Venue]:
    """Serve an exchange in this event loop; all is closed at the end."""
    async with running(config(name, data_dir, **changes), hooks) as served:
        client, session = ccxt_client(name, served.base_url)
        venue = Venue(served, client, [session], [client])
        try:
            await client.load_markets()
            yield venue
        finally:
            for each in venue.clients:
                await each.close()
            for session in venue.sessions:
                await session.close()


async def refusal(call: Awaitable[Any]) -> Exception:
    """The ccxt error that `call` ends with."""
    try:
        answer = await call
    except ccxt.BaseError as error:
        return error
    raise AssertionError(f"was not refused: {answer}")
