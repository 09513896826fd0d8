"""The published examples of rebalancing, figure by figure."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rebalancing_worlds import CASH, World, place
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import Side
from workflows.domain.rebalancing import Adjustment, Aims
from workflows.domain.rebalancing_venues import VenueTrade, sell_at_best

VECTORS = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "rebalance.json").read_text(encoding="utf-8")
)
CASES = {case["name"]: case for case in VECTORS["cases"]}
PLANS = [name for name, case in CASES.items() if "error" not in case["expected"]]
TOLERANCE = Decimal("0.000000000001")
VENUE = "venue"


def world_of(given: dict[str, Any]) -> World:
    """The case at one venue; what has no price is held where nothing trades."""
    prices = {asset: Decimal(price) for asset, price in given["prices"].items()}
    held = {asset: Decimal(amount) for asset, amount in given["holdings"].items()}
    cash = {VENUE: held.pop(CASH, Decimal(0))}
    steps = given["step"]
    places = {
        asset: [
            place(VENUE, asset, price, price, step=steps[asset], free=held.get(asset, Decimal(0)))
        ]
        for asset, price in prices.items()
    }
    stray = {asset: amount for asset, amount in held.items() if asset not in prices}
    return World(cash=cash, places=places, prices=prices, held=stray)


def aims_of(given: dict[str, Any]) -> Aims:
    return Aims(
        targets={asset: Decimal(weight) for asset, weight in given["targets"].items()},
        cash=CASH,
        band_abs=Decimal(given.get("band_abs", "0")),
        band_rel=Decimal(given.get("band_rel", "0")),
    )


def shown(trade: VenueTrade) -> dict[str, Decimal | str]:
    return {
        "asset": trade.asset,
        "qty": trade.quantity,
        "price": trade.price,
        "notional": trade.value,
    }


def expected_trades(trades: list[dict[str, str]]) -> list[dict[str, Decimal | str]]:
    return [
        {name: text if name == "asset" else Decimal(text) for name, text in trade.items()}
        for trade in trades
    ]


def assert_close(got: Decimal, want: str) -> None:
    assert abs(got - Decimal(want)) <= TOLERANCE, f"{got} is not {want}"


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_has_the_published_value_weights_and_offenders(name: str) -> None:
    given, want = CASES[name]["input"], CASES[name]["expected"]
    plan = world_of(given).planned(aims_of(given))
    assert plan.value == Decimal(want["portfolio_value"])
    assert_close(plan.value_after_fees, want["value_after_fees"])
    assert plan.out_of_band == tuple(want["out_of_band"])
    for asset, weight in want["weights_before"].items():
        assert_close(plan.weights[asset], weight)


@pytest.mark.parametrize("name", PLANS)
def test_the_orders_and_what_they_leave_are_the_published_ones(name: str) -> None:
    given, want = CASES[name]["input"], CASES[name]["expected"]
    world, aims = world_of(given), aims_of(given)
    plan = world.planned(aims)
    sells, buys = world.split(aims, plan)
    assert [shown(trade) for trade in sells.trades] == expected_trades(want["sells"])
    assert [shown(trade) for trade in buys.trades] == expected_trades(want["buys"])
    assert buys.scale == Decimal(want["buy_scale"])
    skipped = [*plan.skipped, *sells.skipped, *buys.skipped]
    assert [(each.asset, each.quantity, each.value) for each in skipped] == [
        (each["asset"], Decimal(each["qty"]), Decimal(each["notional"])) for each in want["skipped"]
    ]
    for ours, theirs in zip(skipped, want["skipped"], strict=True):
        assert ours.side is Side[theirs["side"]]
        assert ours.reason.startswith(theirs["why"])
    assert not sells.transfers
    assert not buys.transfers


@pytest.mark.parametrize("name", PLANS)
def test_the_orders_end_in_the_published_portfolio(name: str) -> None:
    given, want = CASES[name]["input"], CASES[name]["expected"]
    world, aims = world_of(given), aims_of(given)
    sells, buys = world.split(aims, world.planned(aims))
    sold = world.carry_out(sells.trades)
    assert sold.cash[VENUE] == Decimal(want["cash_after_sells"])
    end = sold.carry_out(buys.trades)
    assert end.value() == Decimal(want["end_value"])
    for asset, amount in want["end_holdings"].items():
        held = end.cash[VENUE] if asset == CASH else end.places[asset][0].free
        assert held == Decimal(amount)
    for asset, weight in want["end_weights"].items():
        held = end.cash[VENUE] if asset == CASH else end.places[asset][0].free * end.prices[asset]
        assert_close(held / end.value(), weight)


def test_a_missing_price_refuses_the_whole_plan() -> None:
    case = CASES["missing_price"]
    denied = world_of(case["input"]).plan(aims_of(case["input"]))
    assert isinstance(denied, Denied)
    assert denied.code is DenialCode.MISSING_PRICE
    assert denied.field == "assets"
    assert denied.detail == "asset=" + case["expected"]["error"].removeprefix("no price for ")


def test_weights_come_from_values_and_never_from_amounts() -> None:
    given, control = CASES["three_assets"]["input"], VECTORS["naive_control"]
    world, aims = world_of(given), aims_of(given)
    sells, buys = world.split(aims, world.planned(aims))
    assert [shown(trade) for trade in sells.trades] == expected_trades(control["right"]["sells"])
    assert [shown(trade) for trade in buys.trades] == expected_trades(control["right"]["buys"])
    bought = {trade.asset: trade.quantity for trade in buys.trades}
    for asset, delta in control["deltas"].items():
        assert bought.get(asset) != Decimal(delta)


@pytest.mark.parametrize("case", VECTORS["cross_venue"], ids=lambda case: case["name"])
def test_a_sale_goes_where_the_net_bid_is_best(case: dict[str, Any]) -> None:
    given, want = case["input"], case["expected"]
    places = [
        place(
            venue["name"],
            "BTC",
            Decimal(venue["bid"]),
            Decimal(venue["ask"]),
            fee=venue["fee"],
            free=venue["base"],
            step=venue["step"],
            min_notional=venue["min_notional"],
        )
        for venue in given["venues"]
    ]
    quantity = Decimal(given["qty"])
    adjustment = Adjustment(
        asset="BTC", side=Side[given["side"]], quantity=quantity, value=quantity * 60_000
    )
    orders, left = sell_at_best(adjustment, places)
    assert [(o.venue, o.side, o.quantity, o.price) for o in orders] == [
        (leg["venue"], Side[leg["side"]], Decimal(leg["qty"]), Decimal(leg["price"]))
        for leg in want["legs"]
    ]
    assert left == Decimal(want["unallocated"])
    assert bool(left) is want["needs_transfer"]
