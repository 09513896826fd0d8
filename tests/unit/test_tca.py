"""Transaction cost analysis: the published example, worked cases, and what must always hold."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain import tca
from workflows.domain.orders import Side
from workflows.domain.tca import Mid, Prices, Trade

VECTORS = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "tca.json").read_text(encoding="utf-8")
)
CASES = {case["name"]: case for case in VECTORS["cases"]}
TOLERANCE = Decimal("0.000000000001")
D = Decimal


def fills_of(case: dict[str, Any]) -> list[Trade]:
    return [
        Trade(
            at_s=D(each["t"]),
            price=D(each["price"]),
            quantity=D(each["qty"]),
            is_maker=each["liquidity"] == "MAKER",
        )
        for each in case["fills"]
    ]


def mids_of(case: dict[str, Any]) -> list[Mid]:
    return [Mid(at_s=D(at), price=D(price)) for at, price in case["mids"]]


def market_of(case: dict[str, Any]) -> list[Trade]:
    return [Trade(at_s=D(at), price=D(price), quantity=D(size)) for at, price, size in case["mkt"]]


def prices_of(case: dict[str, Any]) -> Prices:
    return Prices(decision=D(case["Pd"]), arrival=D(case["Pa"]), end=D(case["Pn"]))


def agrees(found: Decimal | None, expected: str | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return abs(found - D(expected)) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_shortfall_and_its_parts_are_those_of_the_worked_case(name: str) -> None:
    case, expected = CASES[name]["input"], CASES[name]["expected"]
    wanted = expected["implementation_shortfall"]
    side = Side(case["side"].lower())
    fees = sum((D(each["fee_quote"]) for each in case["fills"]), D(0))
    found = tca.shortfall(side, D(case["Q"]), fills_of(case), prices_of(case), fees)
    assert agrees(found.total, wanted["total_quote"])
    assert agrees(found.total_bps, wanted["total_bps_of_Q_times_decision"])
    assert agrees(found.delay, wanted["delay"])
    assert agrees(found.impact, wanted["trading_impact"])
    assert agrees(found.opportunity, wanted["opportunity"])
    assert agrees(found.fees, wanted["fees"])
    assert agrees(found.wagner_delay, wanted["wagner_form"]["delay_on_full_Q"])
    assert agrees(found.wagner_opportunity, wanted["wagner_form"]["opportunity_from_arrival"])
    assert agrees(found.paper_gain, wanted["paper_gain"])
    assert agrees(found.real_gain, wanted["real_gain"])


@pytest.mark.parametrize("name", CASES)
def test_the_benchmarks_are_those_of_the_worked_case(name: str) -> None:
    case, expected = CASES[name]["input"], CASES[name]["expected"]
    side, fills, mids = Side(case["side"].lower()), fills_of(case), mids_of(case)
    average, market = tca.vwap(fills), market_of(case)
    market_vwap = tca.vwap(market)
    market_twap = tca.market_twap(mids, D(case["t0"]), D(case["t1"]))
    filled = tca.executed(fills)
    assert agrees(average, expected["avg_price"])
    assert agrees(tca.notional(fills), expected["notional"])
    assert agrees(tca.share(filled, D(case["Q"])), expected["fill_ratio"])
    assert agrees(tca.maker_ratio(fills), expected["maker_ratio"])
    assert agrees(market_vwap, expected["market_vwap"])
    assert agrees(market_twap, expected["market_twap"])
    for benchmark, name_of in (
        (D(case["Pa"]), "arrival"),
        (D(case["Pd"]), "decision"),
        (market_vwap, "vwap"),
        (market_twap, "twap"),
    ):
        found = tca.slippage_bps(side, average, benchmark)
        assert agrees(found, expected[f"{name_of}_slippage_bps"]), name_of
    assert agrees(tca.share(filled, tca.executed(market)), expected["participation"])
    assert agrees(tca.effective_spread_bps(side, fills, mids), expected["effective_spread_bps"])
    assert agrees(tca.markout_bps(side, fills, mids), expected["markout_60s_bps"])


def test_the_published_example_costs_nineteen_hundredths_of_a_percent() -> None:
    fills = [Trade(at_s=D(1), price=D("40.05"), quantity=D(700))]
    prices = Prices(decision=D(40), arrival=D("40.04"), end=D("40.08"))
    found = tca.shortfall(Side.BUY, D(1000), fills, prices, D(17))
    assert (found.delay, found.impact, found.opportunity) == (28, 7, 24)
    assert (found.fees, found.total, found.total_bps) == (17, 76, 19)


def test_a_sell_that_gets_more_than_it_hoped_for_has_a_negative_cost() -> None:
    # 2 at 101 instead of 100: a gain of 2, less a fee of 0.5
    fills = [Trade(at_s=D(1), price=D(101), quantity=D(2))]
    prices = Prices(decision=D(100), arrival=D(100), end=D(90))
    found = tca.shortfall(Side.SELL, D(2), fills, prices, D("0.5"))
    assert (found.impact, found.opportunity, found.total) == (-2, 0, D("-1.5"))
    assert tca.slippage_bps(Side.SELL, D(101), D(100)) == -100


def test_without_an_end_price_only_what_is_left_over_cannot_be_measured() -> None:
    half = [Trade(at_s=D(1), price=D(101), quantity=D(1))]
    prices = Prices(decision=D(100), arrival=D(100), end=None)
    part = tca.shortfall(Side.BUY, D(2), half, prices, D(0))
    assert (part.impact, part.total, part.opportunity, part.total_bps) == (1, None, None, None)
    whole = tca.shortfall(Side.BUY, D(1), half, prices, D(0))
    assert (whole.total, whole.opportunity) == (1, 0)


def test_a_middle_that_nobody_saw_is_not_made_up() -> None:
    mids = [Mid(at_s=D(10), price=D(100))]
    assert tca.market_twap(mids, D(5), D(20)) is None
    early = [Trade(at_s=D(5), price=D(100), quantity=D(1))]
    assert tca.effective_spread_bps(Side.BUY, early, mids) is None
    assert tca.market_twap(mids, D(10), D(10)) == 100


prices = st.decimals("0.01", "100000", places=4)
sizes = st.decimals("0.001", "50", places=3)


@given(
    side=st.sampled_from(Side),
    traded=st.lists(st.tuples(prices, sizes), max_size=6),
    left=st.decimals("0", "50", places=3),
    marks=st.tuples(prices, prices, prices),
    fees=st.decimals("-10", "100", places=4),
)
@settings(max_examples=100, deadline=None)
def test_the_parts_always_sum_to_the_paper_gain_less_the_real_gain(
    side: Side,
    traded: list[tuple[Decimal, Decimal]],
    left: Decimal,
    marks: tuple[Decimal, Decimal, Decimal],
    fees: Decimal,
) -> None:
    fills = [Trade(at_s=D(n), price=p, quantity=q) for n, (p, q) in enumerate(traded)]
    ordered = tca.executed(fills) + left
    if not ordered:
        return
    given_prices = Prices(decision=marks[0], arrival=marks[1], end=marks[2])
    found = tca.shortfall(side, ordered, fills, given_prices, fees)
    assert found.total is not None
    assert found.paper_gain is not None
    assert found.real_gain is not None
    assert found.opportunity is not None
    assert found.wagner_opportunity is not None
    assert found.total == found.delay + found.impact + found.opportunity + fees
    assert found.total == found.paper_gain - found.real_gain
    assert found.total == found.wagner_delay + found.impact + found.wagner_opportunity + fees
