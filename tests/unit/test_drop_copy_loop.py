"""The drop copy goes on whatever is away, and says so when an account cannot be seen for long."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from activities.venues.gateway import VenueUnavailableError
from workers.drop_copy import DropCopyLoop

WITHIN_S = 10


class Account:
    """Fails as often as it is told to."""

    def __init__(self, venue: str, account: str, *failures: Exception) -> None:
        self.venue, self.account = venue, account
        self.failures = list(failures)
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.failures:
            raise self.failures.pop(0)


class Breaks:
    """Remembers what it was asked for; `is_away` makes it fail."""

    def __init__(self) -> None:
        self.escalated: list[str] = []
        self.blind: list[tuple[str, str]] = []
        self.is_away = False

    async def escalate(self, exchange: str) -> None:
        self.escalated.append(exchange)
        if self.is_away:
            raise ConnectionError("the ledger is away")

    async def alarm_blind(self, exchange: str, account: str, _why: str) -> None:
        self.blind.append((exchange, account))


async def run_until(loop: DropCopyLoop, condition: Callable[[], object]) -> None:
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(WITHIN_S):
        while not condition() and not running.done():
            await asyncio.sleep(0.005)
    if not running.cancel():
        running.result()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def breaks() -> Breaks:
    return Breaks()


@pytest.fixture
def alive(tmp_path: Path) -> Path:
    return tmp_path / "alive"


async def test_it_looks_at_all_accounts_and_acts_once_per_venue_and_round(
    breaks: Breaks, alive: Path
) -> None:
    accounts = [Account("binance", "main"), Account("binance", "hedge"), Account("okx", "main")]
    loop = DropCopyLoop(accounts, breaks, alive, every_s=0.001)
    await run_until(loop, lambda: len(breaks.escalated) >= 4)
    assert breaks.escalated[:4] == ["binance", "okx"] * 2
    assert all(account.looks >= 2 for account in accounts)
    assert alive.exists()


async def test_one_venue_that_is_away_takes_nothing_from_the_others(
    breaks: Breaks, alive: Path
) -> None:
    away = Account("okx", "main", *[VenueUnavailableError("away")] * 1_000)
    seen = Account("binance", "main")
    loop = DropCopyLoop([away, seen], breaks, alive, every_s=0.001)
    await run_until(loop, lambda: seen.looks >= 5)
    assert away.looks >= 4
    assert breaks.blind == []


async def test_an_account_that_cannot_be_seen_for_long_alarms(breaks: Breaks, alive: Path) -> None:
    away = Account("okx", "main", *[VenueUnavailableError("away")] * 1_000)
    loop = DropCopyLoop([away], breaks, alive, every_s=0.001, blind_after_s=0.02)
    await run_until(loop, lambda: breaks.blind)
    assert breaks.blind[0] == ("okx", "main")
    assert away.looks > 1  # not for the first failure


async def test_a_venue_that_names_a_pause_is_not_asked_before_it_is_over(
    breaks: Breaks, alive: Path
) -> None:
    asked = VenueUnavailableError("slow down", retry_after_s=Decimal(60))
    paused, other = Account("okx", "main", asked), Account("binance", "main")
    loop = DropCopyLoop([paused, other], breaks, alive, every_s=0.001)
    await run_until(loop, lambda: other.looks >= 20)
    assert paused.looks == 1


async def test_a_ledger_that_is_away_ends_nothing(breaks: Breaks, alive: Path) -> None:
    breaks.is_away = True
    account = Account("okx", "main", ConnectionError("the ledger is away"))
    loop = DropCopyLoop([account], breaks, alive, every_s=0.001)
    await run_until(loop, lambda: len(breaks.escalated) >= 3)
    assert account.looks >= 2


async def test_what_nobody_expected_ends_it(breaks: Breaks, alive: Path) -> None:
    loop = DropCopyLoop([Account("okx", "main", KeyError("a bug"))], breaks, alive, every_s=0.001)
    with pytest.raises(KeyError, match="a bug"):
        await run_until(loop, lambda: False)
