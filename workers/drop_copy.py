"""`python -m workers drop-copy`: the second look at all accounts, in a process of its own.

Rule: it shares nothing with the workers but the ledger, and signs with the read-only key of an
account where one is set. A venue or a ledger that is away only costs time; an account that it
cannot see for long alarms. After each round it touches a file, by which its supervisor knows that
it lives.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from activities.drop_copy import DropCopy
from activities.ledger.engine import LEDGER_AWAY, open_engine
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.venues.ccxt_gateway import open_gateway
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from workers.accounts import accounts_of, read_config
from workers.settings import Settings

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0
BLIND_ALARM_AFTER_S = 60.0
_POOL_SIZE = 2
_VENUE_AWAY = (VenueUnavailableError, SymbolUnknownError)


class Account(Protocol):
    """What the loop needs of a DropCopy."""

    venue: str
    account: str

    async def look(self) -> None:
        """Compare the account once."""


class Breaks(Protocol):
    """What the loop needs of a SyncStore."""

    async def escalate(self, exchange: str) -> None:
        """Act on the open breaks of a venue."""

    async def alarm_blind(self, exchange: str, account: str, why: str) -> None:
        """The account was not seen for long."""


@dataclass(slots=True)
class _Watched:
    """One account, when it was last seen and when it may be asked again (monotonic seconds)."""

    account: Account
    seen_at: float = field(default_factory=time.monotonic)
    not_before: float = 0.0


class DropCopyLoop:
    """Looks at all accounts again and again; `alive` is touched after each round."""

    def __init__(
        self,
        accounts: Sequence[Account],
        store: Breaks,
        alive: Path,
        *,
        every_s: float = LOOK_EVERY_S,
        blind_after_s: float = BLIND_ALARM_AFTER_S,
    ) -> None:
        self._watched = [_Watched(account) for account in accounts]
        self._store = store
        self._alive = alive
        self._every_s = every_s
        self._blind_after_s = blind_after_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.gather(*(self._look(each) for each in self._watched))
            for venue in dict.fromkeys(each.account.venue for each in self._watched):
                with _ledger_may_be_away():
                    await self._store.escalate(venue)
            await asyncio.to_thread(self._alive.touch)
            await asyncio.sleep(self._every_s)

    async def _look(self, watched: _Watched) -> None:
        if time.monotonic() < watched.not_before:
            return
        try:
            await watched.account.look()
            watched.seen_at = time.monotonic()
        except (*_VENUE_AWAY, *LEDGER_AWAY) as error:
            if isinstance(error, VenueUnavailableError) and error.retry_after_s is not None:
                watched.not_before = time.monotonic() + float(error.retry_after_s)
            await self._say_not_seen(watched, f"{type(error).__name__}: {error}")

    async def _say_not_seen(self, watched: _Watched, why: str) -> None:
        venue, account = watched.account.venue, watched.account.account
        log.warning("not_seen", venue=venue, account=account, why=why)
        if time.monotonic() - watched.seen_at > self._blind_after_s:
            with _ledger_may_be_away():
                await self._store.alarm_blind(venue, account, why)


@contextlib.contextmanager
def _ledger_may_be_away() -> Iterator[None]:
    try:
        yield
    except LEDGER_AWAY as error:
        log.warning("ledger_away", why=f"{type(error).__name__}: {error}")


async def run_drop_copy(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    alive = settings.home.drop_copy_alive
    alive.parent.mkdir(parents=True, exist_ok=True)
    alive.unlink(missing_ok=True)  # it tells of an earlier process
    async with _loop(settings, alive) as loop:
        running = asyncio.create_task(loop.run())
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopped):
            task.cancel()
        if running in done:
            running.result()
        await asyncio.wait({running, stopped})


@asynccontextmanager
async def _loop(settings: Settings, alive: Path) -> AsyncIterator[DropCopyLoop]:
    """The loop over all accounts, on connections of its own."""
    engine = open_engine(settings.dsn(), pool_size=_POOL_SIZE)
    reader, store = SyncReader(engine), SyncStore(engine)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(engine.dispose)
        accounts = []
        for venue, account in accounts_of(settings):
            gateway = open_gateway(read_config(settings, venue, account))
            opened.push_async_callback(gateway.close)
            accounts.append(DropCopy(gateway, reader, store, settings.symbols))
        yield DropCopyLoop(accounts, store, alive)
