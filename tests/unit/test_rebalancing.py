"""The rules of a rebalancing, one by one: bands, goals, minimums, venues, cash."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.rebalancing_worlds import CASH, World, place
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import Side
from workflows.domain.rebalancing import Adjustment, Aims, Holding, plan_rebalancing
from workflows.domain.rebalancing_venues import Place, split_buys, split_sells

BTC, ETH = Decimal(60_000), Decimal(3_000)


def aims(btc: str, eth: str, **options: object) -> Aims:
    return Aims(targets={"BTC": Decimal(btc), "ETH": Decimal(eth)}, cash=CASH, **options)  # type: ignore[arg-type]


def two_assets(btc: str, eth: str, cash: str = "0", fee: str = "0") -> World:
    return World(
        cash={"a": Decimal(cash)},
        places={
            "BTC": [place("a", "BTC", BTC, BTC, free=btc, fee=fee)],
            "ETH": [place("a", "ETH", ETH, ETH, free=eth, fee=fee, step="0.0001")],
        },
        prices={"BTC": BTC, "ETH": ETH},
    )


def quantities(world: World, wanted: Aims) -> dict[str, Decimal]:
    plan = world.planned(wanted)
    return {each.asset: each.quantity * each.side.sign for each in (*plan.sells, *plan.buys)}


def buy(asset: str, quantity: str, price: Decimal = BTC) -> Adjustment:
    amount = Decimal(quantity)
    return Adjustment(asset=asset, side=Side.BUY, quantity=amount, value=amount * price)


def sell(asset: str, quantity: str, price: Decimal = BTC) -> Adjustment:
    amount = Decimal(quantity)
    return Adjustment(asset=asset, side=Side.SELL, quantity=amount, value=amount * price)


# --- the plan -----------------------------------------------------------------------------------


def test_toward_the_edge_an_asset_stops_where_its_band_begins() -> None:
    world = two_assets("0.6", "8")  # 36,000 and 24,000: 60 % and 40 %
    wanted = aims("0.5", "0.5", band_abs=Decimal("0.02"), to_edge=True)
    assert quantities(world, wanted) == {"BTC": Decimal("-0.08"), "ETH": Decimal("1.6")}


def test_only_offenders_trade_unless_all_are_asked_for() -> None:
    world = two_assets("0.53", "9", cash="1200")  # 53 %, 45 %, 2 % cash
    assert quantities(world, aims("0.5", "0.48", band_abs=Decimal("0.03"))) == {}
    offender = aims("0.5", "0.48", band_abs=Decimal("0.029"))
    assert quantities(world, offender) == {"BTC": Decimal("-0.03"), "ETH": Decimal("0.6")}
    narrow = aims("0.51", "0.4", band_abs=Decimal("0.02"))
    assert quantities(world, narrow) == {"ETH": Decimal(-1)}
    everyone = aims("0.51", "0.4", band_abs=Decimal("0.02"), all_if_any=True)
    assert quantities(world, everyone) == {"BTC": Decimal("-0.02"), "ETH": Decimal(-1)}


def test_to_the_edge_an_asset_inside_its_band_is_left_alone_even_when_all_trade() -> None:
    world = two_assets("0.53", "9", cash="1200")
    wanted = aims("0.51", "0.4", band_abs=Decimal("0.02"), all_if_any=True, to_edge=True)
    assert quantities(world, wanted) == {"ETH": Decimal("-0.6")}


def test_the_wider_of_both_bands_counts_and_its_edge_is_inside() -> None:
    world = two_assets("0.55", "9")  # 55 % and 45 %
    for band in ({"band_abs": Decimal("0.05")}, {"band_rel": Decimal("0.1")}):
        assert not world.planned(aims("0.5", "0.5", **band)).out_of_band
    barely = aims("0.5", "0.5", band_abs=Decimal("0.0499"), band_rel=Decimal("0.09"))
    assert world.planned(barely).out_of_band == ("BTC", "ETH")


def test_an_asset_without_a_target_is_sold_out() -> None:
    world = two_assets("0.5000099", "10")
    only = Aims(targets={"BTC": Decimal(0), "ETH": Decimal("0.5")}, cash=CASH)
    assert quantities(world, only)["BTC"] == Decimal("-0.5")
    unnamed = Aims(targets={"ETH": Decimal("0.5")}, cash=CASH)
    assert quantities(world, unnamed)["BTC"] == Decimal("-0.5")


def test_cash_is_never_traded_however_far_it_is_from_its_target() -> None:
    world = two_assets("0.5", "10", cash="40000")
    wanted = Aims(
        targets={"BTC": Decimal("0.3"), "ETH": Decimal("0.3"), CASH: Decimal("0.4")},
        cash=CASH,
    )
    plan = world.planned(wanted)
    assert not plan.out_of_band
    assert plan.weights[CASH] == Decimal("0.4")


def test_a_target_that_has_no_market_refuses_the_whole_plan() -> None:
    wanted = Aims(targets={"BTC": Decimal("0.5"), "FOO": Decimal("0.5")}, cash=CASH)
    denied = two_assets("1", "1").plan(wanted)
    assert isinstance(denied, Denied)
    assert (denied.code, denied.field) == (DenialCode.MISSING_PRICE, "targets")
    assert denied.detail == "asset=FOO"


def test_a_balance_of_nothing_needs_no_price() -> None:
    world = two_assets("1", "0", cash="60000")
    world.held["FOO"] = Decimal(0)
    assert world.planned(Aims(targets={"BTC": Decimal("0.5")}, cash=CASH)).out_of_band == ()


def test_an_empty_account_has_nothing_to_rebalance() -> None:
    denied = two_assets("0", "0").plan(aims("0.5", "0.5"))
    assert isinstance(denied, Denied)
    assert denied.code is DenialCode.INSUFFICIENT_FUNDS


def test_what_is_smaller_than_the_caller_wants_traded_is_reported() -> None:
    world = two_assets("0.501", "9.98", fee="0.001")
    plan = world.planned(aims("0.5", "0.5", min_trade_value=Decimal(100)))
    assert not plan.sells
    assert not plan.buys
    assert [(each.asset, each.side) for each in plan.skipped] == [
        ("BTC", Side.SELL),
        ("ETH", Side.BUY),
    ]
    assert "min_trade_value=100" in plan.skipped[0].reason


def test_less_than_a_lot_is_reported_too() -> None:
    holdings = {
        "BTC": Holding(amount=Decimal(1), price=BTC, fee=Decimal(0), step=Decimal(1)),
    }
    plan = plan_rebalancing(
        Aims(targets={"BTC": Decimal("0.9")}, cash=CASH), holdings, Decimal(1_000)
    )
    assert not isinstance(plan, Denied)
    assert [(each.asset, each.quantity) for each in plan.skipped] == [("BTC", Decimal(0))]


# --- venues -------------------------------------------------------------------------------------


def btc_at(venue: str, bid: str, ask: str, **rules: object) -> Place:
    return place(venue, "BTC", Decimal(bid), Decimal(ask), **rules)


def test_a_purchase_goes_where_the_net_ask_is_best_as_far_as_its_cash_reaches() -> None:
    places = {
        "BTC": [
            btc_at("cheap", "59990", "60000", fee="0.003"),
            btc_at("fair", "59990", "60010", fee="0.001"),
        ]
    }
    cash = {"cheap": Decimal(100_000), "fair": Decimal("30035.004")}
    split = split_buys([buy("BTC", "1")], places, cash)
    assert [(each.venue, each.quantity) for each in split.trades] == [
        ("fair", Decimal("0.49999")),  # 0.5 would take 0.001 more than there is
        ("cheap", Decimal("0.50001")),
    ]
    assert split.scale == 1
    assert not split.transfers


def test_cash_at_one_venue_buys_nothing_at_another() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", fee="0")]}
    cash = {"a": Decimal(24_000), "b": Decimal(100_000)}
    split = split_buys([buy("BTC", "1")], places, cash)
    assert [(each.venue, each.quantity) for each in split.trades] == [("a", Decimal("0.4"))]
    assert [(each.asset, each.side, each.quantity, each.value) for each in split.transfers] == [
        ("BTC", Side.BUY, Decimal("0.6"), Decimal(36_000))
    ]
    assert split.scale == 1, "there is cash enough, only elsewhere"


def test_all_purchases_shrink_by_one_share_when_the_cash_is_short() -> None:
    world = two_assets("0", "0")
    cash = {"a": Decimal(30_000)}
    split = split_buys([buy("BTC", "0.5"), buy("ETH", "10", ETH)], world.places, cash)
    assert split.scale == Decimal("0.5")
    assert [(each.asset, each.quantity) for each in split.trades] == [
        ("BTC", Decimal("0.25")),
        ("ETH", Decimal(5)),
    ]
    assert not split.transfers
    assert not split.skipped


def test_a_purchase_that_shrinks_below_the_smallest_trade_is_reported() -> None:
    world = two_assets("0", "0")
    split = split_buys(
        [buy("BTC", "1"), buy("ETH", "0.05", ETH)],
        world.places,
        {"a": Decimal(30_000)},
        min_trade_value=Decimal(100),
    )
    assert [each.asset for each in split.trades] == ["BTC"]
    assert [(each.asset, each.side) for each in split.skipped] == [("ETH", Side.BUY)]
    assert "scaled to the cash" in split.skipped[0].reason


def test_the_reserve_is_kept_wherever_it_lies() -> None:
    places = {"BTC": [btc_at(venue, "60000", "60000", fee="0") for venue in ("a", "b")]}
    cash = {"a": Decimal(30_000), "b": Decimal(30_000)}
    split = split_buys([buy("BTC", "1")], places, cash, reserve=Decimal(12_000))
    assert split.scale == Decimal("0.8")
    assert sum(each.quantity for each in split.trades) == Decimal("0.8")


def test_what_few_venues_trade_gets_the_cash_there_first() -> None:
    places = {
        "BTC": [btc_at("a", "60000", "60000", fee="0"), btc_at("b", "60001", "60001", fee="0")],
        "ETH": [place("a", "ETH", ETH, ETH, fee="0")],
    }
    cash = {"a": Decimal(3_000), "b": Decimal(60_010)}
    split = split_buys([buy("BTC", "1"), buy("ETH", "1", ETH)], places, cash)
    assert [(each.asset, each.venue, each.quantity) for each in split.trades] == [
        ("ETH", "a", Decimal(1)),
        ("BTC", "b", Decimal(1)),
    ]


def test_a_fee_taken_from_the_units_bought_is_ordered_on_top() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", fee="0.001", buys_pay_base=True)]}
    split = split_buys([buy("BTC", "0.999")], places, {"a": Decimal(60_000)})
    assert [each.quantity for each in split.trades] == [Decimal(1)]
    assert not split.transfers


def test_the_cash_must_reach_for_the_limit_and_not_only_for_the_touch() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", fee="0", slippage="0.01")]}
    split = split_buys([buy("BTC", "1")], places, {"a": Decimal(60_000)})
    (order,) = split.trades
    assert order.limit == Decimal(60_600)
    assert order.quantity == Decimal("0.99009")
    assert order.price == Decimal(60_000)


def test_limits_lie_on_the_tick_and_never_beyond_the_slippage() -> None:
    here = btc_at("a", "60000.7", "60000.9", tick="0.1", slippage="0.00017")
    assert here.limit(Side.BUY) == Decimal("60011.1")
    assert here.limit(Side.SELL) == Decimal("59990.5")


@pytest.mark.parametrize(
    ("rules", "sold"),
    [
        ({"min_quantity": "0.4"}, []),
        ({"min_notional": "18001"}, []),
        ({"min_notional": "18000"}, [Decimal("0.3")]),
        ({"max": "0.1"}, [Decimal("0.1")]),
        ({"step": "0.2"}, [Decimal("0.2")]),
    ],
)
def test_what_the_venues_rules_leave_is_reported(
    rules: dict[str, str], sold: list[Decimal]
) -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", free="1", **rules)]}
    split = split_sells([sell("BTC", "0.3")], places, {})
    assert [each.quantity for each in split.trades] == sold
    left = Decimal("0.3") - sum(sold)
    finest = Decimal(rules.get("step", "0.00001"))
    assert [each.quantity for each in split.skipped] == ([left] if left >= finest else [])


# --- what one order may have ----------------------------------------------------------------------


def test_a_sell_is_cut_to_the_value_of_one_order_at_each_venue() -> None:
    here = [
        btc_at("a", "60000", "60000", free="5", max_value="100000"),
        btc_at("b", "59000", "59000", free="5", max_value="100000"),
    ]
    split = split_sells([sell("BTC", "4")], {"BTC": here}, {})
    assert [(each.venue, each.quantity) for each in split.trades] == [
        ("a", Decimal("1.66666")),
        ("b", Decimal("1.69491")),
    ]
    (told,) = split.skipped
    assert (told.quantity, told.reason, split.is_cut) == (
        Decimal("0.63843"),
        "above MAX_ORDER_VALUE=100000",
        True,
    )
    assert not split.transfers


def test_a_sell_below_the_touch_is_worth_the_middle_and_a_buy_its_limit() -> None:
    # the middle is 60,000: more than the sell's limit; the buy's limit is 60,702
    here = [btc_at("a", "59900", "60100", free="5", slippage="0.01", max_value="60702")]
    sold = split_sells([sell("BTC", "3")], {"BTC": here}, {})
    bought = split_buys([buy("BTC", "3")], {"BTC": here}, {"a": Decimal(900_000)})
    assert [each.limit for each in sold.trades] == [Decimal(59_301)]
    assert [each.limit for each in bought.trades] == [Decimal(60_701)]
    assert [each.quantity for each in sold.trades] == [Decimal("1.0117")]
    assert [each.quantity for each in bought.trades] == [Decimal("1.00001")]


def test_a_buy_is_cut_before_the_cash_is_shared_out() -> None:
    places = {
        "BTC": [btc_at("a", "60000", "60000", max_value="60000")],
        "ETH": [place("a", "ETH", ETH, ETH, fee="0", max_value="60000")],
    }
    split = split_buys([buy("BTC", "5"), buy("ETH", "2")], places, {"a": Decimal(90_000)})
    assert [(each.asset, each.quantity) for each in split.trades] == [
        ("BTC", Decimal(1)),
        ("ETH", Decimal(2)),
    ]
    assert split.scale == 1
    assert [(each.asset, each.quantity, each.is_cut) for each in split.skipped] == [
        ("BTC", Decimal(4), True)
    ]


def test_without_cash_for_it_the_rest_of_a_cut_buy_is_not_the_limits_doing() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", fee="0", max_value="60000")]}
    split = split_buys([buy("BTC", "5")], places, {"a": Decimal(30_000)})
    assert [each.quantity for each in split.trades] == [Decimal("0.5")]
    assert [(each.quantity, each.reason) for each in split.skipped] == [
        (Decimal(4), "no cash is left for it")
    ]
    assert not split.is_cut


def test_cash_behind_a_full_order_is_cut_off_and_needs_no_transfer() -> None:
    places = {"BTC": [btc_at(name, "60000", "60000", max_value="60000") for name in ("a", "b")]}
    split = split_buys([buy("BTC", "1.5")], places, {"a": Decimal(300_000), "b": Decimal(0)})
    assert [(each.venue, each.quantity) for each in split.trades] == [("a", Decimal(1))]
    assert [(each.quantity, each.is_cut) for each in split.skipped] == [(Decimal("0.5"), True)]
    assert not split.transfers


def test_what_exceeds_the_exchanges_largest_order_is_cut_and_told() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", free="1", max="0.1")]}
    sold = split_sells([sell("BTC", "0.3")], places, {})
    bought = split_buys([buy("BTC", "0.3")], places, {"a": Decimal(60_000)})
    for split in (sold, bought):
        assert [each.quantity for each in split.trades] == [Decimal("0.1")]
        (told,) = split.skipped
        assert (told.quantity, split.is_cut) == (Decimal("0.2"), True)
        assert told.reason == "above the exchange's largest order: max=0.1 exchange=a"


def test_where_no_order_is_small_enough_all_of_it_is_told() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", free="1", min_notional="10", max_value="5")]}
    sold = split_sells([sell("BTC", "0.3")], places, {})
    bought = split_buys([buy("BTC", "0.3")], places, {"a": Decimal(60_000)})
    for split in (sold, bought):
        assert not split.trades
        assert [(each.quantity, each.is_cut) for each in split.skipped] == [(Decimal("0.3"), True)]


def test_what_is_below_a_minimum_is_not_told_as_cut() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", free="9", max_value="60000")]}
    split = split_sells([sell("BTC", "0.0001")], places, {})
    assert not split.trades
    assert [each.reason for each in split.skipped] == ["below minimum of the exchange"]
    assert not split.is_cut


def test_what_one_order_may_have_is_not_cut() -> None:
    free = btc_at("a", "60000", "60000", free="9", slippage="0.002")
    capped = replace(free, max_value=Decimal(61_000))
    cash = {"a": Decimal(900_000)}
    for spot in (free, capped):
        sold = split_sells([sell("BTC", "1")], {"BTC": [spot]}, {})
        bought = split_buys([buy("BTC", "1")], {"BTC": [spot]}, cash)
        assert [each.quantity for each in (*sold.trades, *bought.trades)] == [Decimal(1)] * 2
        assert not (*sold.skipped, *bought.skipped)


def test_what_is_held_where_it_has_no_market_needs_a_transfer() -> None:
    places = {"BTC": [btc_at("a", "60000", "60000", free="0.4")]}
    split = split_sells([sell("BTC", "0.9")], places, {"BTC": Decimal("0.3")})
    assert [each.quantity for each in split.trades] == [Decimal("0.4")]
    assert [(each.side, each.quantity) for each in split.transfers] == [(Side.SELL, Decimal("0.3"))]
    assert [(each.quantity, each.reason) for each in split.skipped] == [
        (Decimal("0.2"), "locked by open orders")
    ]


def test_what_no_venue_trades_now_is_reported() -> None:
    assert [each.asset for each in split_sells([sell("BTC", "1")], {}, {}).skipped] == ["BTC"]
    bought = split_buys([buy("BTC", "1")], {}, {"a": Decimal(5)})
    assert [each.asset for each in bought.skipped] == ["BTC"]
