"""The plans of chaos: the same from the same seed, varied, and within what the exchange offers."""

import itertools
import json
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from activities.ledger.results import TradingState
from activities.venues.dialects import dialect_of
from activities.venues.simulator.faults.box import FaultBox
from activities.venues.simulator.faults.options import FaultError
from activities.venues.simulator.judge import VenueLog
from activities.venues.simulator.runtime import PaperExchange
from tests.chaos.__main__ import BAD_USAGE, options_of
from tests.chaos.arbitrage_plan import VENUES
from tests.chaos.control_plan import Deed
from tests.chaos.desk import body_of
from tests.chaos.fault_plan import AIMED, AIMED_AT_CANCELS
from tests.chaos.plan import plan_of, seed_of_run
from tests.chaos.planned import PATIENT, Plan, PlannedArbitrage, Route, Stop
from tests.chaos.prices import PriceDiary
from tests.contract.paper_venue import PaperAccount, config
from tests.e2e.world import HEDGE, MAIN, STILL
from workers.checker_ledger import WatchFacts
from workflows import names
from workflows.domain.orders import Side, client_order_id
from workflows.domain.scopes import Scope, ScopeKind, parse_scope
from workflows.domain.triggers import Direction, Fired, Flag, TriggerSource, TriggerSpec
from workflows.execution_messages import ArbitragePlan
from workflows.messages import OrderRequest, parse_order
from workflows.plans import parse_plan
from workflows.ports import WatchStatus
from workflows.steering_messages import ActionKind, AmendRequest, parse_amend

SEEDS = range(60)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [plan_of(seed) for seed in SEEDS]


def test_a_seed_makes_one_plan_and_another_seed_another():
    assert plan_of(7) == plan_of(7)
    changed = replace(plan_of(8), seed=7)
    assert changed != plan_of(7)


def test_the_seed_of_a_later_run_makes_its_plan_again_alone():
    later = seed_of_run(1, 5)
    assert plan_of(seed_of_run(later, 0)) == plan_of(later)
    assert len({seed_of_run(1, run) for run in range(1_000)}) == 1_000


def test_all_types_routes_and_cancels_occur(plans):
    orders = [order for plan in plans for order in plan.orders]
    kinds = {
        (
            order.body["order_type"],
            order.body.get("time_in_force"),
            bool(order.body.get("post_only")),
            order.body["side"],
        )
        for order in orders
    }
    for side in ("buy", "sell"):
        assert {kind[:3] for kind in kinds if kind[3] == side} == {
            ("market", None, False),
            ("limit", None, False),
            ("limit", "IOC", False),
            ("limit", "FOK", False),
            ("limit", None, True),
            ("twap", None, False),
            ("iceberg", None, False),
            ("iceberg", None, True),
            ("stop_loss", None, False),
            ("take_profit", None, False),
            ("trailing_stop", None, False),
            ("oco", None, False),
        }
    assert {route for order in orders for route in order.routes} == set(Route)
    assert {order.stop.by for order in orders if order.stop} == set(Stop)
    assert any(len(order.routes) > 1 for order in orders)


def test_orders_that_wait_are_kept_by_venue_and_engine_alike(plans):
    waiting = [each for plan in plans for each in plan.orders if each.body["order_type"] in PATIENT]
    kept = {(each.body["order_type"], each.body.get("placement", "auto")) for each in waiting}
    assert kept == set(itertools.product(map(str, PATIENT), ("auto", "native", "engine")))
    assert {each.body["exchange"] for each in waiting} == set(VENUES)
    assert any("passive_fraction" in each.body for plan in plans for each in plan.orders)


def test_orders_are_paused_resumed_and_amended_in_every_way(plans):
    steered = [each for plan in plans for each in plan.orders if each.steers]
    assert {steer.kind for each in steered for steer in each.steers} == {
        ActionKind.PAUSE,
        ActionKind.RESUME,
        ActionKind.AMEND,
    }
    amendments = [s for each in steered for s in each.steers if s.kind is ActionKind.AMEND]
    assert {name for each in amendments for name in each.changes} == {"price", "quantity"}
    assert any(each.ends_after_s for each in amendments)
    for each in amendments:
        given = {**each.changes, "end_at": "2030-01-01T00:00:00Z"}
        assert isinstance(parse_amend(json.dumps(given).encode()), AmendRequest)
    for each in steered:
        kinds = [steer.kind for steer in each.steers]
        assert kinds in ([ActionKind.PAUSE], [ActionKind.PAUSE, ActionKind.RESUME]) or len(
            kinds
        ) == kinds.count(ActionKind.AMEND)
        assert each.is_patient or ActionKind.PAUSE not in kinds


def test_faults_are_aimed_at_orders_that_wait_and_at_their_cancels(plans):
    aimed = [(each, fault) for plan in plans for each in plan.orders for fault in each.faults]
    assert {fault.name for _, fault in aimed} == {*AIMED, *AIMED_AT_CANCELS}
    for order, fault in aimed:
        assert fault.venue == order.body["exchange"]
        ours = dialect_of(fault.venue).render_id(client_order_id(order.order_id, 0))
        assert fault.options["client_order_id"] == ours


def test_the_price_jumps_at_every_venue_in_every_run(plans):
    for plan in plans:
        spikes = [fault for fault in plan.faults if fault.name == "trade"]
        assert {fault.venue for fault in spikes} == set(VENUES)
        assert all(fault.at_s < plan.duration_s + 1 for fault in spikes)


def a_watch(price: str, at_ms: int, *flags: Flag) -> WatchFacts:
    return WatchFacts(
        watch_id="order-1/0",
        order_id="order-1",
        exchange=VENUES[0],
        symbol=STILL,
        status=WatchStatus.FIRED,
        spec=TriggerSpec(
            side=Side.SELL, direction=Direction.DOWN, source=TriggerSource.LAST, price=Decimal(1)
        ),
        fired=Fired(price=Decimal(price), at_ms=at_ms, flags=flags),
    )


@pytest.mark.parametrize(
    ("price", "later_ms", "flags", "is_reached"),
    [
        ("49990", 0, (), True),
        ("50110", 500, (), False),
        ("50110", 500, (Flag.BLIND,), True),
        ("49800", 0, (), False),
        ("49800", 60_000, (), True),
    ],
)
def test_a_trigger_is_judged_by_where_the_market_was_just_then(price, later_ms, flags, is_reached):
    """Where nothing was seen, nothing is judged."""
    diary, now_ms = PriceDiary(), time.time_ns() // 1_000_000
    diary.note(VENUES[0], STILL, Decimal(49_990), Decimal(50_010))
    diary.note(VENUES[1], STILL, Decimal(40_000), Decimal(60_000))
    watch = a_watch(price, now_ms + later_ms, *flags)
    logs = {venue: VenueLog() for venue in VENUES}
    assert [name for name, _ in diary.unreached([watch], logs)] == (
        [] if is_reached else ["order-1/0"]
    )


def test_every_order_is_one_that_the_engine_reads(plans):
    for order in (order for plan in plans for order in plan.orders):
        body = {**order.body, "order_id": order.order_id}
        assert isinstance(parse_order(json.dumps(body).encode()), OrderRequest), body


def test_orders_can_meet_those_of_their_own_account(plans):
    sides: dict[tuple[object, object], set[object]] = defaultdict(set)
    for order in (order for plan in plans for order in plan.orders):
        sides[order.body["account"], order.body["symbol"]].add(order.body["side"])
    assert all(found == {"buy", "sell"} for found in sides.values())


def test_every_kind_of_part_is_killed_and_frozen_within_the_gaps(plans):
    kills = [kill for plan in plans for kill in plan.kills]
    assert {kill.part for kill in kills} == {"worker", "temporal", "postgres", "paper", "api"}
    assert any(kill.freeze_s for kill in kills)
    for plan in plans:
        times = [0.0, *(kill.at_s for kill in plan.kills)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(0.499 <= gap <= 5.001 for gap in gaps)


@pytest.mark.parametrize("venue", VENUES)
def test_the_exchange_knows_every_planned_fault(plans, tmp_path: Path, venue: str):
    keys = {
        name: PaperAccount(api_key=name, secret=name, passphrase=name) for name in (MAIN, HEDGE)
    }
    exchange = PaperExchange(config(venue, tmp_path, dialect=venue, accounts=keys))
    box, met = FaultBox(exchange), set()
    for fault in (fault for plan in plans for fault in plan.all_faults if fault.venue == venue):
        options = {name: value for name, value in fault.options.items() if value is not None}
        if fault.name == "cancel":
            with suppress(FaultError):  # some of these orders traded at once
                box.act(fault.name, options)
        elif fault.is_action:
            box.act(fault.name, options)
        else:
            box.add(fault.name, options)
        met.add(fault.name)
    exchange.close()
    assert len(met) > 30


def test_people_place_orders_and_move_money_at_every_venue(plans):
    acts = [fault for plan in plans for fault in plan.faults if fault.is_action]
    by_hand = [each for each in acts if each.name == "place"]
    assert {each.venue for each in by_hand} == set(VENUES)
    assert {each.options["account"] for each in by_hand} == {MAIN, HEDGE}
    assert {"price" in each.options for each in by_hand} == {True, False}
    names_at = [(each.venue, each.options["client_order_id"]) for each in by_hand]
    assert len(set(names_at)) == len(names_at)
    gone = {(each.venue, each.options["client_order_id"]) for each in acts if each.name == "cancel"}
    assert gone == set(names_at)
    moved = [Decimal(str(each.options["amount"])) for each in acts if each.name == "deposit"]
    assert min(moved) < 0 < max(moved)


def test_every_run_has_a_halt_that_is_taken_back_and_some_have_limits(plans):
    known = {scope.partition(":")[2] for plan in plans for scope in strategies_of(plan)}
    for plan in plans:
        assert [deed.deed for deed in plan.deeds].count(Deed.SWITCH) == 1
        assert all(deed.at_s < plan.duration_s and deed.lasts_s > 0 for deed in plan.deeds)
    deeds = [deed for plan in plans for deed in plan.deeds]
    scopes = [parse_scope(deed.scope) for deed in deeds]
    assert all(isinstance(scope, Scope) for scope in scopes), scopes
    assert {scope.kind for scope in scopes} == {ScopeKind.STRATEGY, ScopeKind.SYMBOL}
    assert {scope.strategy_id for scope in scopes if scope.strategy_id} <= known
    switches = [deed for deed in deeds if deed.deed is Deed.SWITCH]
    assert {deed.state for deed in switches} == {TradingState.HALTED, TradingState.REDUCING}
    limits = [deed for deed in deeds if deed.deed is Deed.LIMIT]
    assert limits
    assert all(deed.value for deed in limits)


def strategies_of(plan: Plan) -> set[str]:
    """The scopes of the strategies that trade in a plan."""
    return {f"strategy:{order.body['strategy_id']}" for order in plan.orders}


def arbitrages_of(plans: list[Plan]) -> list[PlannedArbitrage]:
    return [each for plan in plans for each in plan.arbitrages]


def test_every_arbitrage_is_one_that_the_engine_reads(plans):
    for each in arbitrages_of(plans):
        raw = json.dumps(body_of(each)).encode()
        assert isinstance(parse_plan(raw, ArbitragePlan), ArbitragePlan), each.body


def test_arbitrages_go_both_ways_in_every_mode_and_are_a_quarter_of_all(plans):
    drawn = arbitrages_of(plans)
    seen = {
        (each.body["buy_exchange"], each.body["mode"], each.body["leg_time_in_force"])
        for each in drawn
    }
    assert len(seen) == 8
    assert {each.body["account"] for each in drawn} == {MAIN, HEDGE}
    assert any(each.stop for each in drawn)
    assert any(len(each.routes) > 1 for each in drawn)
    assert 0.2 < len(drawn) / sum(len(plan.entries) for plan in plans) < 0.3


def test_a_fifth_of_the_arbitrages_has_a_fault_that_is_aimed_at_one_of_its_legs(plans):
    drawn = arbitrages_of(plans)
    with_fault = [each for each in drawn if each.faults]
    assert 0.15 < len(with_fault) / len(drawn) < 0.25
    assert {fault.name for each in with_fault for fault in each.faults} == set(AIMED)
    for each in with_fault:
        legs = (names.leg_order_id(each.order_id, leg) for leg in ("buy", "sell"))
        ids = {client_order_id(leg, 0) for leg in legs}
        [fault] = each.faults
        at = {str(each.body["buy_exchange"]), str(each.body["sell_exchange"])}
        assert fault.venue in at
        if fault.options["client_order_id"] in ids:
            side = "buy" if fault.venue == each.body["buy_exchange"] else "sell"
            ours = client_order_id(names.leg_order_id(each.order_id, side), 0)
            assert fault.options["client_order_id"] == ours


def test_arbitrages_of_one_pair_wait_for_each_other_but_some_do_not(plans):
    drawn = arbitrages_of(plans)
    assert 0.85 < sum(each.waits for each in drawn) / len(drawn) < 0.95
    assert len({each.lane for each in drawn}) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runs", "0"],
        ["--runs", "-1"],
        ["--seed", "x"],
        ["--seed", ""],
        ["--orders", "1e3"],
        ["--orders", "0", "--arbitrages", "0"],
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        options_of(arguments)
    assert ended.value.code == BAD_USAGE
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
