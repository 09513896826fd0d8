"""The market's figures of an analysis: only where the exchange has told of all our own trades."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from activities.ledger.view_analytics import ExecutionFacts, FillFact, OrderFacts
from starters.analytics import _Analysis
from starters.analytics_models import OrderAnalytics
from workflows.ports.public_data import MarketWindow, WindowSource

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
ORDER = OrderFacts(
    order_id="order-1",
    execution_id=None,
    strategy_id="s1",
    account="main",
    exchange="binance",
    symbol="BTC/USDT",
    side="buy",
    order_type="market",
    status="filled",
    quantity=Decimal(2),
    arrival_price=Decimal(100),
    snapshot=None,
    plan=None,
    created_at=AT,
    accepted_at=AT,
    finished_at=AT + timedelta(seconds=10),
)
FILL = FillFact(
    client_order_id="child-1",
    price=Decimal(101),
    quantity=Decimal(2),
    fee=Decimal(0),
    fee_asset="USDT",
    fee_rate=None,
    is_maker=False,
    traded_at=AT + timedelta(seconds=5),
)
FACTS = ExecutionFacts(
    order=ORDER, fills=[FILL], children=[], marks=[], read_at=AT + timedelta(minutes=5)
)
WHOLE = MarketWindow(source=WindowSource.TRADES, volume=Decimal(8), vwap=Decimal(100))


def told(window: MarketWindow | str) -> OrderAnalytics:
    return _Analysis.of(FACTS, AT, ORDER.finished_at, window).told()


def gaps(found: OrderAnalytics) -> dict[str, str]:
    return {
        each.figure: each.why
        for each in found.not_available
        if each.figure.startswith("market.v") or each.figure == "market.participation"
    }


def test_our_share_of_a_market_that_is_known_whole() -> None:
    found = told(WHOLE)
    assert (found.market.volume, found.market.vwap) == (8, 100)
    assert found.market.participation == Decimal("0.25")
    assert found.slippage_bps.market_vwap == 100
    assert gaps(found) == {}


def test_a_market_that_is_told_late_has_no_share_and_no_average_yet() -> None:
    found = told(replace(WHOLE, volume=Decimal("1.5")))
    assert found.market.source is WindowSource.TRADES
    assert (found.market.volume, found.market.vwap, found.market.participation) == (None,) * 3
    assert found.slippage_bps.market_vwap is None
    why = "the exchange has not told of all our trades yet"
    names = ("volume", "vwap", "participation")
    assert gaps(found) == {f"market.{name}": why for name in names}


def test_a_market_that_cannot_be_asked_says_why() -> None:
    for window, why in (
        ("the exchange does not answer", "the exchange does not answer"),
        (MarketWindow(source=WindowSource.TRADES, volume=Decimal(0)), "not told of all"),
    ):
        assert all(why in each for each in gaps(told(window)).values())
        assert len(gaps(told(window))) == 3
