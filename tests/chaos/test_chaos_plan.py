"""The plans of chaos: the same from the same seed, varied, and within what the exchange offers."""

import itertools
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from activities.venues.simulator.faults.box import FaultBox
from activities.venues.simulator.runtime import PaperExchange
from tests.chaos.__main__ import BAD_USAGE, options_of
from tests.chaos.arbitrage_plan import VENUES
from tests.chaos.desk import body_of
from tests.chaos.fault_plan import AIMED
from tests.chaos.plan import plan_of, seed_of_run
from tests.chaos.planned import Plan, PlannedArbitrage, Route, Stop
from tests.contract.paper_venue import PaperAccount, config
from tests.e2e.world import HEDGE, MAIN
from workflows import names
from workflows.domain.orders import client_order_id
from workflows.execution_messages import ArbitragePlan
from workflows.messages import OrderRequest, parse_order
from workflows.plans import parse_plan

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
        }
    assert {route for order in orders for route in order.routes} == set(Route)
    assert {order.stop.by for order in orders if order.stop} == set(Stop)
    assert any(len(order.routes) > 1 for order in orders)


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
        if fault.is_action:
            box.act(fault.name, options)
        else:
            box.add(fault.name, options)
        met.add(fault.name)
    exchange.close()
    assert len(met) > 30


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
