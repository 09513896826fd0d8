"""How portfolios become what a rebalancing plans with: one price, and where it can be traded."""

from dataclasses import replace
from decimal import Decimal

from tests.unit.rebalancing_worlds import CASH, place
from workflows.domain.instruments import Quote
from workflows.execution_messages import RebalancePlan
from workflows.ports import AssetMarket, Fees, Portfolio
from workflows.rebalance_market import (
    MAX_PRICE_SKEW_MS,
    aims_of,
    picture_of,
    portfolio_request,
    settled_cash,
)

PLAN = RebalancePlan(
    exchanges=("a", "b"),
    targets={"BTC": Decimal("0.5"), CASH: Decimal("0.5")},
    slippage_tolerance=Decimal("0.01"),
)
NOW_MS = 1_000_000


def market(venue: str, bid: str, ask: str, *, fee: str = "0.001") -> AssetMarket:
    spot = place(venue, "BTC", Decimal(bid), Decimal(ask))
    return AssetMarket(
        instrument=spot.instrument,
        quote=Quote(bid=Decimal(bid), ask=Decimal(ask), read_at_ms=NOW_MS),
        fees=Fees(maker=Decimal(0), taker=Decimal(fee), buys_pay_base=venue == "b"),
    )


def portfolio(venue: str, btc: str, cash: str, known: AssetMarket | None) -> Portfolio:
    total = {"BTC": Decimal(btc), CASH: Decimal(cash)}
    return Portfolio(
        venue=venue,
        account="main",
        total=total,
        free={name: amount / 2 for name, amount in total.items()},
        markets={"BTC": known} if known else {},
    )


A = market("a", "60000", "60010")
B = market("b", "60020", "60050", fee="0.002")


def test_an_asset_has_one_price_the_mean_of_all_venues_middles() -> None:
    picture = picture_of(PLAN, (portfolio("a", "1", "100", A), portfolio("b", "2", "50", B)))
    holding = picture.holdings["BTC"]
    assert holding.price == Decimal(60_020)
    assert holding.amount == 3
    assert holding.fee == Decimal("0.002")


def test_values_count_all_and_orders_only_what_is_free() -> None:
    picture = picture_of(PLAN, (portfolio("a", "1", "100", A), portfolio("b", "2", "50", B)))
    assert picture.total_cash == 150
    assert picture.cash == {"a": 50, "b": 25}
    assert [(each.venue, each.free) for each in picture.places["BTC"]] == [
        ("a", Decimal("0.5")),
        ("b", Decimal(1)),
    ]
    assert [each.buys_pay_base for each in picture.places["BTC"]] == [False, True]
    assert picture.places["BTC"][0].slippage == Decimal("0.01")


def test_where_it_has_no_market_an_asset_has_its_value_and_is_stranded() -> None:
    picture = picture_of(PLAN, (portfolio("a", "1", "0", A), portfolio("b", "2", "0", None)))
    assert picture.holdings["BTC"].amount == 3
    assert picture.holdings["BTC"].price == Decimal(60_005)
    assert picture.stranded == {"BTC": Decimal(2)}


def test_a_closed_market_gives_a_price_and_no_place() -> None:
    assert B.instrument is not None
    closed = replace(B, instrument=replace(B.instrument, is_trading=False))
    picture = picture_of(PLAN, (portfolio("b", "2", "0", closed),))
    assert picture.holdings["BTC"].price == Decimal(60_035)
    assert picture.places["BTC"] == ()


def test_a_price_that_is_old_or_absurd_is_none() -> None:
    assert B.quote is not None
    assert B.instrument is not None
    old = Quote(bid=B.quote.bid, ask=B.quote.ask, read_at_ms=NOW_MS - MAX_PRICE_SKEW_MS - 1)
    crossed = replace(old, bid=Decimal(60_060), read_at_ms=NOW_MS)
    nothing = replace(old, bid=Decimal(0), read_at_ms=NOW_MS)
    for quote in (old, crossed, nothing):
        broken = replace(B, quote=quote)
        picture = picture_of(PLAN, (portfolio("a", "1", "0", A), portfolio("b", "1", "0", broken)))
        assert picture.holdings["BTC"].price == Decimal(60_005)
        assert [each.venue for each in picture.places["BTC"]] == ["a"]
    gridless = replace(B, instrument=replace(B.instrument, step=Decimal(0)))
    picture = picture_of(PLAN, (portfolio("b", "1", "0", gridless),))
    assert picture.holdings["BTC"].price is None


def test_the_cash_after_the_sells_is_what_both_the_fills_and_the_venue_say() -> None:
    before = {"a": Decimal(10), "b": Decimal(10), "silent": Decimal(10)}
    proceeds = {"a": Decimal(90), "b": Decimal(90)}
    told = {"a": Decimal(10), "b": Decimal(500)}
    assert settled_cash(before, proceeds, told) == {"a": 10, "b": 100}


def test_only_the_named_assets_are_read_when_the_plan_names_some() -> None:
    assert portfolio_request(PLAN, "a").only == ()
    named = PLAN.model_copy(update={"assets": ("ETH",)})
    assert portfolio_request(named, "a").only == ("BTC", "ETH", CASH)
    assert portfolio_request(named, "a").assets == ("BTC",)


def test_the_weight_of_cash_is_what_the_others_leave() -> None:
    assert aims_of(PLAN).targets == {"BTC": Decimal("0.5")}
