"""Keeping the books beside the fills: marks, what fees in third assets were worth, snapshots.

Rule: it only adds what can be read anew or is written once. Every worker runs it; the ledger deals
the turns, and a ledger or venue that is away only costs time. A fee is valued at the close of the
candle of its moment; a price that cannot be read leaves it unvalued, and a human is told. It must
not know how a position is counted.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from activities.gateways import Gateways
from activities.ledger.book_store import (
    BookStore,
    FeeRate,
    MarketKey,
    UnvaluedFee,
    Why,
)
from activities.ledger.chores import Chores
from activities.ledger.engine import LEDGER_AWAY
from activities.together import until_first
from activities.venues.gateway import VenueError, VenueGateway
from workflows.domain.alarms import AlarmCode
from workflows.domain.exact import rounded
from workflows.domain.positions import base_and_quote
from workflows.durations import epoch_ms

MARKS_EVERY_S = Decimal(2)
FEES_EVERY_S = Decimal(5)
OLD_FEES_EVERY_S = Decimal(60)
SNAPSHOTS_EVERY_S = Decimal(60)
DAY_ENDS_WITHIN = timedelta(seconds=5)
"""The last snapshots of a UTC day are taken so long before its end."""
MINUTE_MS = 60_000
MAX_CANDLES = 50
"""Prices that are asked for in one turn."""
_TOLD_ONCE_S = Decimal(3_600)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What has to be priced in what, where, and in which minute."""

    exchange: str
    asset: str
    quote: str
    minute_ms: int


class Bookkeeper:
    """Marks markets, values fees and takes snapshots, each when it is due."""

    def __init__(self, store: BookStore, chores: Chores, gateways: Gateways) -> None:
        self._store = store
        self._chores = chores
        self._gateways: dict[str, VenueGateway] = {}
        for (venue, _), gateway in gateways.items():
            self._gateways.setdefault(venue, gateway)

    async def run(self) -> None:
        """Until cancelled."""
        await until_first(
            self._again("marks", MARKS_EVERY_S, self.mark),
            self._again("fee values", FEES_EVERY_S, self.value_fees),
            self._again("old fee values", OLD_FEES_EVERY_S, self.value_old_fees),
            self._again("snapshots", SNAPSHOTS_EVERY_S, self.keep),
            self._at_the_end_of_days(),
        )

    async def _again(
        self, name: str, every_s: Decimal, work: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await self._in_turn(name, every_s, work)
            await asyncio.sleep(timedelta(milliseconds=int(every_s * 1000)).total_seconds())

    async def _in_turn(
        self, name: str, every_s: Decimal, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do it if nobody else does. Whoever asks is a little late, so a turn is a little short."""
        try:
            if await self._chores.is_mine(name, every_s * Decimal("0.9")):
                await work()
        except LEDGER_AWAY as error:
            log.warning("%s were not kept: %s", name, error)

    async def _at_the_end_of_days(self) -> None:
        while True:
            await asyncio.sleep(until_day_ends(datetime.now(UTC)).total_seconds())
            await self._in_turn("snapshots of the day", _TOLD_ONCE_S, self._keep_the_day)
            await asyncio.sleep(2 * DAY_ENDS_WITHIN.total_seconds())

    # --- snapshots ---

    async def keep(self) -> None:
        """Snapshots now; and positions of which only the quantity is known are counted."""
        for key in await self._store.uncounted():
            await self._store.count(key)
        await self._store.take_snapshots(Why.TIME)

    async def _keep_the_day(self) -> None:
        await self._store.take_snapshots(Why.DAY)

    # --- marks ---

    async def mark(self) -> None:
        """Read the touch of every market with a position or an order that works."""
        markets = [
            each for each in await self._store.markets_to_mark() if each[0] in self._gateways
        ]
        prices = await asyncio.gather(*(self._middle(market) for market in markets))
        known = zip(markets, prices, strict=True)
        await self._store.save_marks({key: price for key, price in known if price is not None})

    async def _middle(self, market: MarketKey) -> Decimal | None:
        """Quote units; None where the venue does not tell: the mark that is known grows old."""
        exchange, symbol = market
        try:
            return (await self._gateways[exchange].quote(symbol)).mid
        except VenueError as error:
            log.info("%s at %s was not marked: %s", symbol, exchange, error)
            return None

    # --- fees ---

    async def value_fees(self) -> None:
        """Value the fees that were booked lately."""
        await self._value(await self._store.fees_to_value(is_old=False))

    async def value_old_fees(self) -> None:
        """Try those again that could not be valued, and tell a human of them."""
        fees = await self._store.fees_to_value(is_old=True)
        unknown = await self._value(fees)
        for exchange, symbol, asset in sorted({_subject(fee) for fee in unknown}):
            detail = f"no price of {asset} for fees of {symbol}"
            about = f"{exchange}/{symbol}/{asset}"
            await self._store.raise_alarm(AlarmCode.FEE_NOT_VALUED, about, detail)

    async def _value(self, fees: Sequence[UnvaluedFee]) -> list[UnvaluedFee]:
        """Save the rates that can be read; the fees of which none was told."""
        of_moment: dict[_Moment, list[UnvaluedFee]] = defaultdict(list)
        for fee in fees:
            if fee.exchange in self._gateways:
                of_moment[_moment_of(fee)].append(fee)
        moments = list(of_moment)[:MAX_CANDLES]
        rates = await asyncio.gather(*(self._rate(moment) for moment in moments))
        known: dict[int, FeeRate] = {}
        unknown: list[UnvaluedFee] = []
        for moment, rate in zip(moments, rates, strict=True):
            if rate is None:
                unknown += of_moment[moment]
            else:
                known |= {fee.fill_id: rate for fee in of_moment[moment]}
        if known:
            await self._store.save_fee_values(known)
        return unknown

    async def _rate(self, moment: _Moment) -> FeeRate | None:
        """Quote units per unit of the asset: from its own market, else from the inverse one."""
        for symbol, is_inverse in _markets(moment):
            close = await self._close(moment, symbol)
            if close is not None:
                rate = rounded(1 / Fraction(close)) if is_inverse else close
                minute = datetime.fromtimestamp(moment.minute_ms / 1000, UTC)
                source = f"{symbol} close of {minute:%Y-%m-%dT%H:%MZ}"
                return FeeRate(rate=rate, source=source) if rate else None
        return None

    async def _close(self, moment: _Moment, symbol: str) -> Decimal | None:
        gateway = self._gateways[moment.exchange]
        last_ms = moment.minute_ms + MINUTE_MS - 1
        try:
            candles = await gateway.candles(symbol, moment.minute_ms, last_ms)
        except VenueError as error:
            log.info("%s at %s told no price: %s", symbol, moment.exchange, error)
            return None
        inside = [candle.close for candle in candles if candle.opened_ms <= last_ms]
        return inside[-1] if inside else None


def until_day_ends(now: datetime) -> timedelta:
    """From now to shortly before the end of the UTC day; not below zero."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(midnight - DAY_ENDS_WITHIN - now, timedelta(0))


def _subject(fee: UnvaluedFee) -> tuple[str, str, str]:
    return fee.exchange, fee.symbol, fee.fee_asset


def _moment_of(fee: UnvaluedFee) -> _Moment:
    at_ms = epoch_ms(fee.traded_at)
    _, quote = base_and_quote(fee.symbol)
    return _Moment(
        exchange=fee.exchange,
        asset=fee.fee_asset,
        quote=quote,
        minute_ms=at_ms - at_ms % MINUTE_MS,
    )


def _markets(moment: _Moment) -> Iterator[tuple[str, bool]]:
    yield f"{moment.asset}/{moment.quote}", False
    yield f"{moment.quote}/{moment.asset}", True
