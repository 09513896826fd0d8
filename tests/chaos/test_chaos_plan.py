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
from tests.chaos.plan import Plan, Route, Stop, plan_of, seed_of_run
from tests.contract.paper_venue import PaperAccount, config
from tests.e2e.world import HEDGE, MAIN
from workflows.messages import OrderRequest, parse_order

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


def test_the_exchange_knows_every_planned_fault(plans, tmp_path: Path):
    keys = {name: PaperAccount(api_key=name, secret=name) for name in (MAIN, HEDGE)}
    exchange = PaperExchange(config("binance", tmp_path, accounts=keys))
    box, names = FaultBox(exchange), set()
    for fault in (fault for plan in plans for fault in plan.faults):
        options = {name: value for name, value in fault.options.items() if value is not None}
        if fault.is_action:
            box.act(fault.name, options)
        else:
            box.add(fault.name, options)
        names.add(fault.name)
    exchange.close()
    assert len(names) > 30


@pytest.mark.parametrize(
    "arguments",
    [["--runs", "0"], ["--runs", "-1"], ["--seed", "x"], ["--seed", ""], ["--orders", "1e3"]],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        options_of(arguments)
    assert ended.value.code == BAD_USAGE
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
