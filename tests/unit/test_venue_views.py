"""What executions see of venues: books of one moment, funds as they are, all that is held."""

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.markets import Markets
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from activities.views import QUOTE_TRIES, VenueViews, ViewActivities
from workflows.domain.books import Book, Level
from workflows.domain.instruments import Instrument, Quote
from workflows.ports import AssetMarket, Fees, PortfolioRequest, ViewRequest, ViewsRequest

D = Decimal
FEES = Fees(maker=D("0.0008"), taker=D("0.001"), buys_pay_base=True)
BINANCE = ViewRequest(venue="binance", account="main", symbol="BTC/USDT")
OKX = ViewRequest(venue="okx", account="main", symbol="BTC/USDT")
PORTFOLIO = PortfolioRequest(venue="binance", account="main", cash="USDT", assets=("ETH",))


def instrument(symbol: str) -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        venue="binance",
        symbol=symbol,
        base=base,
        quote=quote,
        tick=D("0.01"),
        step=D("0.00001"),
        min_quantity=D("0.00001"),
        max_quantity=None,
        min_notional=D(5),
        is_trading=True,
    )


@dataclass
class Venue:
    """Answers as told; counts what it was asked."""

    venue: str = "binance"
    account: str = "main"
    listed: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    silent: tuple[str, ...] = ()
    holds: dict[str, Decimal] = field(default_factory=lambda: {"BTC": D(1), "USDT": D(900)})
    locked: dict[str, Decimal] = field(default_factory=dict)
    is_slow: bool = False
    asked: list[str] = field(default_factory=list)

    async def instrument(self, symbol: str) -> Instrument:
        if symbol not in self.listed:
            raise SymbolUnknownError(symbol)
        return instrument(symbol)

    async def fees(self, symbol: str) -> Fees:
        return FEES

    async def book(self, symbol: str, depth: int) -> Book:
        self.asked.append("book")
        await self._answer(symbol)
        level = Level(price=D(50_000), quantity=D(1))
        return Book(bids=(level,), asks=(level,), read_at_ms=len(self.asked))

    async def quote(self, symbol: str) -> Quote:
        self.asked.append(f"quote {symbol}")
        await self._answer(symbol)
        return Quote(bid=D(1), ask=D(2), read_at_ms=1)

    async def balances(self) -> dict[str, Decimal]:
        await self._answer("balances")
        return dict(self.holds)

    async def free_balances(self) -> dict[str, Decimal]:
        self.asked.append("free")
        await self._answer("balances")
        return {name: held - self.locked.get(name, D(0)) for name, held in self.holds.items()}

    async def _answer(self, what: str) -> None:
        await asyncio.sleep(10 if self.is_slow else 0)
        if what in self.silent:
            raise VenueUnavailableError(f"{what}: no answer")


class World:
    def __init__(self, *venues: Venue) -> None:
        gateways = {(each.venue, each.account): cast(VenueGateway, each) for each in venues}
        self.views = VenueViews(gateways)
        self.activities = ViewActivities(gateways, self.views, Markets(gateways))


async def test_a_view_is_book_rules_fees_and_the_funds_of_both_assets():
    venue = Venue(holds={"BTC": D(1), "USDT": D(900), "ETH": D(3)}, locked={"USDT": D(100)})
    view = await World(venue).activities.read_view(BINANCE)
    assert (view.instrument, view.fees) == (instrument("BTC/USDT"), FEES)
    assert view.book is not None
    assert view.free == {"BTC": D(1), "USDT": D(800)}


async def test_a_symbol_that_the_venue_does_not_list_has_an_empty_view():
    view = await World(Venue(listed=())).activities.read_view(BINANCE)
    assert (view.venue, view.symbol, view.instrument, view.book) == (
        "binance",
        "BTC/USDT",
        None,
        None,
    )


async def test_those_who_ask_at_one_moment_share_the_book_and_never_the_funds():
    venue = Venue()
    await asyncio.gather(*map(World(venue).activities.read_view, [BINANCE] * 3))
    assert (venue.asked.count("book"), venue.asked.count("free")) == (1, 3)


async def test_a_glance_sees_all_venues_in_the_order_asked_for():
    world = World(Venue(), Venue(venue="okx"))
    views = await world.activities.glance_at_views(ViewsRequest(views=(OKX, BINANCE)))
    assert [view.venue for view in views] == ["okx", "binance"]


@pytest.mark.parametrize("changes", [{"silent": ("BTC/USDT",)}, {"is_slow": True}])
async def test_a_glance_is_all_or_none(changes: dict[str, object]):
    world = World(Venue(), Venue(venue="okx", **changes))  # type: ignore[arg-type]  # as told
    assert await world.views.glance([BINANCE, OKX]) is None
    with pytest.raises(ApplicationError):
        await world.activities.glance_at_views(ViewsRequest(views=(BINANCE, OKX)))


async def test_a_view_that_cannot_be_read_now_is_asked_for_again():
    world = World(Venue(silent=("BTC/USDT",)))
    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(world.activities.read_view, BINANCE)
    assert not raised.value.non_retryable


# --- portfolios ---------------------------------------------------------------------------------


async def test_a_portfolio_is_all_that_is_held_and_wanted_with_its_markets():
    portfolio = await World(Venue(locked={"BTC": D("0.3")})).activities.read_portfolio(PORTFOLIO)
    assert portfolio.total == {"BTC": D(1), "USDT": D(900)}
    assert portfolio.free == {"BTC": D("0.7"), "USDT": D(900)}
    assert sorted(portfolio.markets) == ["BTC", "ETH"]
    assert portfolio.markets["ETH"] == AssetMarket(
        instrument=instrument("ETH/USDT"), quote=Quote(bid=D(1), ask=D(2), read_at_ms=1), fees=FEES
    )


async def test_an_asset_without_a_market_against_cash_is_shown_without_one():
    venue = Venue(holds={"XYZ": D(7)})
    portfolio = await World(venue).activities.read_portfolio(PORTFOLIO)
    assert portfolio.total == {"XYZ": D(7)}
    assert portfolio.markets["XYZ"] == AssetMarket(instrument=None, quote=None, fees=None)


async def test_only_the_named_assets_and_cash_are_shown():
    venue = Venue(holds={"BTC": D(1), "ETH": D(2), "USDT": D(900)})
    asked = PortfolioRequest(
        venue="binance", account="main", cash="USDT", assets=("ETH", "BTC"), only=("ETH",)
    )
    portfolio = await World(venue).activities.read_portfolio(asked)
    assert portfolio.total == portfolio.free == {"ETH": D(2), "USDT": D(900)}
    assert list(portfolio.markets) == ["ETH"]
    assert "quote BTC/USDT" not in venue.asked


@pytest.mark.parametrize("attempt", [1, QUOTE_TRIES - 1, QUOTE_TRIES])
async def test_a_market_without_a_touch_is_one_only_after_several_attempts(attempt: int):
    world = World(Venue(silent=("ETH/USDT",)))
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    reading = environment.run(world.activities.read_portfolio, PORTFOLIO)
    if attempt < QUOTE_TRIES:
        with pytest.raises(ApplicationError):
            await reading
        return
    market = (await reading).markets["ETH"]
    assert (market.instrument, market.quote) == (instrument("ETH/USDT"), None)


async def test_funds_that_cannot_be_read_are_never_taken_for_none():
    world = World(Venue(silent=("balances",)))
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=QUOTE_TRIES)
    with pytest.raises(ApplicationError):
        await environment.run(world.activities.read_portfolio, PORTFOLIO)
