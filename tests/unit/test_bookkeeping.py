"""What the bookkeeper asks venues for and makes of the answers; ledger and venue are fake."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities import bookkeeping
from activities.bookkeeping import Bookkeeper, until_day_ends
from activities.ledger.book_store import UnvaluedFee, Why
from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
from workflows.domain.alarms import AlarmCode
from workflows.domain.instruments import Quote
from workflows.domain.prices import Candle

AT = datetime(2026, 5, 4, 12, 30, 31, tzinfo=UTC)
MINUTE_MS = int(AT.replace(second=0).timestamp()) * 1000


class Store:
    """Of the store what the bookkeeper uses."""

    def __init__(self) -> None:
        self.markets = [("binance", "BTC/USDT"), ("binance", "ETH/USDT"), ("kraken", "BTC/USDT")]
        self.fees: list[UnvaluedFee] = []
        self.marks: dict[Any, Decimal] = {}
        self.values: dict[int, Any] = {}
        self.alarms: list[tuple[AlarmCode, str]] = []
        self.snapshots: list[Why] = []
        self.error: Exception | None = None

    async def markets_to_mark(self) -> list[tuple[str, str]]:
        return self.markets

    async def save_marks(self, marks: dict[Any, Decimal]) -> None:
        self.marks |= marks

    async def fees_to_value(self, *, is_old: bool) -> list[UnvaluedFee]:
        return [fee for fee in self.fees if (fee.booked_s > 60) is is_old]

    async def save_fee_values(self, rates: dict[int, Any]) -> int:
        self.values |= rates
        return len(rates)

    async def raise_alarm(self, code: AlarmCode, about: str, detail: str) -> None:
        self.alarms.append((code, about))

    async def uncounted(self) -> list[Any]:
        return []

    async def take_snapshots(self, why: Why) -> int:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.snapshots.append(why)
        return 0


class Chores:
    """Every turn is ours."""

    async def is_mine(self, name: str, every_s: Decimal) -> bool:
        return True


class Venue:
    """Knows the candles and touches that it was given."""

    def __init__(self) -> None:
        self.closes: dict[str, str] = {}
        self.touches: dict[str, tuple[str, str]] = {}
        self.asked: list[tuple[str, int, int]] = []

    async def quote(self, symbol: str) -> Quote:
        if symbol not in self.touches:
            raise VenueUnavailableError("no book")
        bid, ask = self.touches[symbol]
        return Quote(bid=Decimal(bid), ask=Decimal(ask), read_at_ms=0)

    async def candles(self, symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        self.asked.append((symbol, since_ms, until_ms))
        if symbol not in self.closes:
            raise SymbolUnknownError(symbol)
        close = Decimal(self.closes[symbol])
        prices = {"open": close, "high": close, "low": close, "close": close}
        return [Candle(opened_ms=since_ms, length_ms=60_000, volume=Decimal(1), **prices)]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def keeper(store: Store, venue: Venue) -> Bookkeeper:
    gateways: Any = {("binance", "main"): venue}
    fakes: Any = (store, Chores())
    return Bookkeeper(*fakes, gateways)


def a_fee(fill_id: int, asset: str = "BNB", symbol: str = "BTC/USDT", age: int = 1) -> UnvaluedFee:
    return UnvaluedFee(
        fill_id=fill_id,
        exchange="binance",
        symbol=symbol,
        fee_asset=asset,
        traded_at=AT,
        booked_s=Decimal(age),
    )


async def test_the_mark_is_the_middle_of_the_touch_where_the_venue_tells_one(keeper, store, venue):
    venue.touches["BTC/USDT"] = ("50000.01", "50000.02")
    await keeper.mark()
    assert store.marks == {("binance", "BTC/USDT"): Decimal("50000.015")}


async def test_fees_of_one_minute_are_valued_by_one_look_at_its_candle(keeper, store, venue):
    venue.closes["BNB/USDT"] = "612.5"
    store.fees = [a_fee(1), a_fee(2)]
    await keeper.value_fees()
    assert {number: value.rate for number, value in store.values.items()} == {
        1: Decimal("612.5"),
        2: Decimal("612.5"),
    }
    assert store.values[1].source == "BNB/USDT close of 2026-05-04T12:30Z"
    assert venue.asked == [("BNB/USDT", MINUTE_MS, MINUTE_MS + 59_999)]


async def test_an_asset_without_a_market_of_its_own_is_valued_by_the_inverse_one(
    keeper, store, venue
):
    venue.closes["USDT/TRY"] = "40"
    store.fees = [a_fee(1, asset="TRY")]
    await keeper.value_fees()
    assert store.values[1].rate == Decimal("0.025")


async def test_a_fee_that_nobody_can_price_is_told_to_a_human_when_it_is_old(keeper, store, venue):
    store.fees = [a_fee(1, asset="XYZ"), a_fee(2, asset="XYZ", age=61)]
    await keeper.value_fees()
    assert (store.values, store.alarms) == ({}, [])
    await keeper.value_old_fees()
    assert store.alarms == [(AlarmCode.FEE_NOT_VALUED, "binance/BTC/USDT/XYZ")]
    venue.closes["XYZ/USDT"] = "2"
    await keeper.value_old_fees()
    assert store.values[2].rate == 2


@pytest.mark.parametrize(
    ("now", "left_s"),
    [
        (datetime(2026, 5, 4, 0, 0, 0, tzinfo=UTC), 86_395),
        (datetime(2026, 5, 4, 23, 59, 54, tzinfo=UTC), 1),
        (datetime(2026, 5, 4, 23, 59, 58, tzinfo=UTC), 0),
    ],
)
def test_the_last_snapshots_of_a_day_are_taken_shortly_before_its_end(now, left_s):
    assert until_day_ends(now) == timedelta(seconds=left_s)


async def test_a_ledger_that_is_away_costs_only_the_turn(keeper, store, monkeypatch):
    monkeypatch.setattr(bookkeeping, "SNAPSHOTS_EVERY_S", Decimal("0.01"))
    store.error = OSError("away")
    task = asyncio.create_task(keeper.run())
    try:
        await until(lambda: bool(store.snapshots))
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert store.error is None
    assert set(store.snapshots) == {Why.TIME}


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)
