"""A running exchange: engine, journal, market and listeners, wired together.

Rule: after every command `commit` writes its events to the journal, and only then are they told to
listeners or answered. Everything runs in one event loop, and no command awaits, so commands never
interleave. If the journal cannot be written the exchange has failed for good, since its memory is
ahead of its disk. Knows nothing of HTTP.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from activities.venues.simulator.config import PaperExchangeConfig
from activities.venues.simulator.engine import Engine
from activities.venues.simulator.events import Event
from activities.venues.simulator.journal import Journal, JournalError
from activities.venues.simulator.market import STEP_INTERVAL_S, Market, build_feeds
from activities.venues.simulator.records import Record
from activities.venues.simulator.specs import SymbolSpec
from activities.venues.simulator.state import ExchangeState


class Listener(Protocol):
    """Hears committed events, in order; must not block."""

    def __call__(self, events: list[Event]) -> None: ...


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class PaperExchange:
    """One venue with its durable state, recovered from the data folder if there is any."""

    def __init__(
        self, config: PaperExchangeConfig, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self.config = config
        self._clock = now_ms
        self.clock_offset_ms = 0  # how far the venue's clock is ahead of this machine's
        self.listeners: list[Listener] = []
        self.onlookers: list[Callable[[], None]] = []  # may look at books and tapes, after a commit
        self.broken = asyncio.Event()  # set when the journal refused a batch
        specs = config.specs()
        by_name = {spec.name: spec for spec in specs}
        feeds = build_feeds(specs, config.seed, config.name, config.replay, config.speed)
        self.journal = Journal(config.data_dir)
        try:
            state = _recovered(by_name, self.journal)
        except JournalError:
            self.journal.close()
            raise
        self.engine = Engine(state, config.fee_rates())
        for name, account in config.accounts.items():
            self.engine.open_account(name, account.balances, self.now_ms())
        self.market = Market(by_name, feeds, config.seed, config.name)
        self.market.open(self.engine, self.now_ms())
        self.commit()

    def now_ms(self) -> int:
        """The venue's clock: milliseconds since the epoch."""
        return self._clock() + self.clock_offset_ms

    def commit(self, request: Record | None = None) -> None:
        """Journal what happened since the last commit, then tell the listeners.

        Raises JournalError, after which the exchange must stop.
        """
        events = self.engine.take_events()
        if self.broken.is_set():
            raise JournalError("the journal can no longer be written")
        try:
            self.journal.append(events, request)
        except JournalError:
            self.broken.set()
            raise
        if events:
            for listener in self.listeners:
                listener(events)
        for look in self.onlookers:
            look()

    def step(self, elapsed_s: float) -> None:
        """Let the market move for `elapsed_s` seconds."""
        self.market.advance(self.engine, elapsed_s, self.now_ms())
        self.commit()

    def set_timer(self, account: str, after_s: int) -> None:
        """Cancel all orders of the account after so many seconds; zero: never."""
        due_ms = self._clock() + after_s * 1_000 if after_s else 0
        self.engine.set_timer(account, due_ms, self.now_ms())

    def run_timers(self) -> None:
        """Carry out what the accounts' timers ask for by now."""
        self.engine.run_timers(self._clock(), self.now_ms())
        self.commit()

    async def run_market(self) -> None:
        """Move the market until cancelled; any error here ends the exchange, never silently."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(STEP_INTERVAL_S)
            now = loop.time()
            if self.config.live_market:
                self.step(now - before)
            self.run_timers()
            before = now

    def close(self) -> None:
        """Give the journal back. All state is on disk at any time."""
        self.journal.close()


def _recovered(specs: Mapping[str, SymbolSpec], journal: Journal) -> ExchangeState:
    state = ExchangeState(specs)
    for event in journal.replay():
        try:
            state.apply(event)
        except KeyError as error:
            raise JournalError(
                f"{journal.path} names {error.args[0]!r}, which this exchange does not have"
            ) from error
    return state
