"""What holds for every rebalancing: no value from nowhere, no debt, nothing silently dropped.

Rule: properties restate the rule in other words than the code. Never ask the code for its own
answer.
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.rebalancing_worlds import CASH, World, place
from workflows.domain.denials import Denied
from workflows.domain.orders import Side
from workflows.domain.rebalancing import Aims, Rebalancing
from workflows.domain.rebalancing_venues import Split

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example
NOTHING = Decimal(0)
ASSETS = ("ADA", "BTC", "ETH", "SOL")
PRICES = {"ADA": "0.4137", "BTC": "61234.5", "ETH": "2987.6", "SOL": "151.23"}
STEPS = ("0.00001", "0.0001", "0.001")

fees = st.sampled_from(["0", "0.0004", "0.001", "0.0025"])
amounts = st.decimals(min_value=0, max_value=50_000, places=2)
shares = st.decimals(min_value=0, max_value=1, places=3)


@st.composite
def worlds(draw: Callable[..., Any], *, plain: bool = False, capped: bool = False) -> World:
    """Up to four assets at up to three venues. `plain`: one venue, one price, one fee.

    `capped`: one order may not have everything, by its value, by its quantity, or both.
    """
    venues = ["a"] if plain else draw(st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]]))
    assets = ASSETS[: draw(st.integers(1, len(ASSETS)))]
    prices = {asset: Decimal(PRICES[asset]) for asset in assets}
    fee = draw(fees)
    max_value = draw(st.sampled_from(["5", "99.5", "1000", "20000"])) if capped else None
    places = {}
    for asset in assets:
        listed = [venue for venue in venues if plain or draw(st.booleans())] or venues[:1]
        made = []
        for venue in listed:
            apart = NOTHING if plain else draw(st.decimals(min_value=0, max_value="0.01", places=4))
            spot = prices[asset]
            value = draw(amounts)
            made.append(
                place(
                    venue,
                    asset,
                    spot * (1 - apart),
                    spot * (1 + apart / 2),
                    fee=fee if plain else draw(fees),
                    step=draw(st.sampled_from(STEPS)),
                    free=(value / spot).quantize(Decimal("0.0000001")),
                    min_notional="10",
                    buys_pay_base=False if plain else draw(st.booleans()),
                    slippage="0" if plain else draw(st.sampled_from(["0", "0.002"])),
                    max_value=max_value,
                    max=draw(st.sampled_from([None, "0.03", "7"])) if capped else None,
                )
            )
        places[asset] = made
    return World(cash={venue: draw(amounts) for venue in venues}, places=places, prices=prices)


@st.composite
def targets(draw: Callable[..., Any], world: World) -> dict[str, Decimal]:
    """Weights of at most 1 together; assets without one are sold out."""
    left, chosen = Decimal(1), {}
    for asset in world.places:
        weight = min(draw(shares), left)
        left -= weight
        chosen[asset] = weight
    return {asset: weight for asset, weight in chosen.items() if weight or draw(st.booleans())}


@st.composite
def cases(
    draw: Callable[..., Any], **options: bool
) -> tuple[World, Aims, Rebalancing, Split, Split, Decimal]:
    world = draw(worlds(**options))
    reserve = draw(st.sampled_from([NOTHING, NOTHING, Decimal(5_000)]))
    aims = Aims(
        targets=draw(targets(world)),
        cash=CASH,
        band_abs=draw(st.sampled_from([NOTHING, Decimal("0.02")])),
        band_rel=draw(st.sampled_from([NOTHING, Decimal("0.25")])),
        to_edge=draw(st.booleans()),
        all_if_any=draw(st.booleans()),
        min_trade_value=draw(st.sampled_from([NOTHING, Decimal(100)])),
    )
    plan = world.plan(aims)
    assume(not isinstance(plan, Denied))
    assert isinstance(plan, Rebalancing)
    sells, buys = world.split(aims, plan, reserve)
    return world, aims, plan, sells, buys, reserve


@UNDISTURBED
@given(cases())
def test_nothing_is_sold_that_is_not_free_and_no_cash_spent_that_is_not_there(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, _, _, sells, buys, reserve = case
    with localcontext(prec=60):
        free = {(p.venue, asset): p.free for asset, here in world.places.items() for p in here}
        cash = dict(world.cash)
        for order in sells.trades:
            free[order.venue, order.asset] -= order.quantity
            cash[order.venue] += order.quantity * order.price * (1 - order.place.fee)
        kept = min(sum(cash.values()), reserve)
        for order in buys.trades:  # each at the worst price that it allows
            paid = Decimal(1) if order.place.buys_pay_base else 1 + order.place.fee
            cash[order.venue] -= order.quantity * order.limit * paid
        assert all(amount >= 0 for amount in free.values())
        assert all(amount >= 0 for amount in cash.values())
        assert sum(cash.values()) >= kept


@UNDISTURBED
@given(cases())
def test_every_order_is_one_that_its_venue_accepts(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    _, _, _, sells, buys, _ = case
    for order in (*sells.trades, *buys.trades):
        rules = order.place.instrument
        assert order.quantity > 0
        assert rules.is_on_step(order.quantity)
        assert rules.is_on_tick(order.limit)
        assert order.quantity * order.limit >= rules.min_notional
    places = [(o.side, o.venue, o.asset) for o in (*sells.trades, *buys.trades)]
    assert len(places) == len(set(places)), "one order per asset and venue has its own name"


@UNDISTURBED
@given(cases(capped=True))
def test_no_order_has_more_than_one_order_may(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    _, _, _, sells, buys, _ = case
    for order in (*sells.trades, *buys.trades):
        rules, spot = order.place.instrument, order.place
        # as the risk check judges it: the dearer of the limit and the middle of the touch
        dearest = max(Fraction(order.limit), (Fraction(spot.bid) + Fraction(spot.ask)) / 2)
        assert Fraction(order.quantity) * dearest <= Fraction(spot.max_value or 0)
        assert rules.max_quantity is None or order.quantity <= rules.max_quantity
        assert rules.is_on_step(order.quantity)
        assert order.quantity * order.limit >= rules.min_notional


@UNDISTURBED
@given(cases(capped=True))
def test_what_is_cut_off_is_told(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, _, plan, sells, buys, _ = case
    for adjustment in (*plan.sells, *plan.buys):
        split = sells if adjustment.side is Side.SELL else buys
        ours = [each for each in split.trades if each.asset == adjustment.asset]
        told = [
            Fraction(each.quantity)
            for each in (*split.skipped, *split.transfers)
            if each.asset == adjustment.asset
        ]
        net = sum((Fraction(o.quantity) * kept(o.side, o.place) for o in ours), Fraction())
        share = Fraction(split.scale) if adjustment.side is Side.BUY else Fraction(1)
        finest = min(Fraction(p.instrument.step) for p in world.places[adjustment.asset])
        assert Fraction(adjustment.quantity) * share - net - sum(told) <= 2 * finest
        assert net + sum(told) <= Fraction(adjustment.quantity)


@UNDISTURBED
@given(cases(capped=True))
def test_a_cap_takes_no_cash_that_is_not_there(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, _, _, sells, buys, _ = case
    with localcontext(prec=60):
        cash = dict(world.cash)
        for order in sells.trades:
            cash[order.venue] += order.quantity * order.price * (1 - order.place.fee)
        for order in buys.trades:
            paid = Decimal(1) if order.place.buys_pay_base else 1 + order.place.fee
            cash[order.venue] -= order.quantity * order.limit * paid
        assert all(amount >= 0 for amount in cash.values())


@UNDISTURBED
@given(cases())
def test_what_no_order_covers_is_told(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, aims, plan, sells, buys, _ = case
    told = {each.asset for each in plan.skipped}
    for adjustment, split in (
        *((each, sells) for each in plan.sells),
        *((each, buys) for each in plan.buys),
    ):
        assert adjustment.asset not in told
        ours = [each for each in split.trades if each.asset == adjustment.asset]
        net = sum((Fraction(o.quantity) * kept(o.side, o.place) for o in ours), Fraction())
        left = [
            Fraction(each.quantity)
            for each in (*split.skipped, *split.transfers)
            if each.asset == adjustment.asset
        ]
        share = Fraction(split.scale) if adjustment.side is Side.BUY else Fraction(1)
        finest = min(Fraction(p.instrument.step) for p in world.places[adjustment.asset])
        missing = Fraction(adjustment.quantity) * share - net - sum(left)
        # the share itself is told to 18 places only
        assert abs(missing) <= 2 * finest
        assert ours or left
    drifted = {
        asset
        for asset in plan.out_of_band
        if Fraction(aims.target(asset)) * Fraction(plan.value_after_fees)
        != Fraction(world.holdings()[asset].amount) * Fraction(world.prices[asset])
    }
    mentioned = told | {each.asset for each in (*plan.sells, *plan.buys)}
    assert drifted <= mentioned or aims.to_edge


def kept(side: Side, where: Any) -> Fraction:
    return 1 - Fraction(where.fee) if side is Side.BUY and where.buys_pay_base else Fraction(1)


@UNDISTURBED
@given(cases(plain=True))
def test_the_value_after_is_the_value_before_less_the_fees_to_the_last_digit(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, _, _, sells, buys, _ = case
    trades = (*sells.trades, *buys.trades)
    with localcontext(prec=60):
        paid = sum((o.quantity * o.price * o.place.fee for o in trades), NOTHING)
        assert world.carry_out(trades).value() == world.value() - paid


@UNDISTURBED
@given(cases(plain=True))
def test_the_goals_are_fractions_of_what_is_left_after_the_fees(
    case: tuple[World, Aims, Rebalancing, Split, Split, Decimal],
) -> None:
    world, aims, plan, _, _, _ = case
    assume(not aims.to_edge)
    traded = world.places if plan.out_of_band and aims.all_if_any else plan.out_of_band
    after = Fraction(plan.value_after_fees)
    holdings = world.holdings()
    costs = sum(
        (
            Fraction(holdings[asset].fee)
            * abs(
                Fraction(aims.target(asset)) * after
                - Fraction(holdings[asset].amount) * Fraction(world.prices[asset])
            )
            for asset in traded
        ),
        Fraction(),
    )
    assert abs(Fraction(plan.value) - costs - after) < Fraction(1, 10**15)


@UNDISTURBED
@given(worlds(plain=True), st.data())
def test_a_second_run_on_the_result_trades_nothing(world: World, data: st.DataObject) -> None:
    wanted = data.draw(targets(world))
    lots = sum((here[0].instrument.step * here[0].ask for here in world.places.values()), NOTHING)
    aims = Aims(targets=wanted, cash=CASH, min_trade_value=max(Decimal(100), 4 * lots))
    first = world.plan(aims)
    assume(not isinstance(first, Denied))
    assert isinstance(first, Rebalancing)
    # an adjustment at the very threshold may fall on its other side
    margin = aims.min_trade_value / 5
    assume(all(each.value < aims.min_trade_value - margin for each in first.skipped))
    sells, buys = world.split(aims, first)
    end = world.carry_out((*sells.trades, *buys.trades))
    again = end.planned(aims)
    sells, buys = end.split(aims, again)
    assert not sells.trades
    assert not buys.trades
