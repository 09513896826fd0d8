"""Submit, ack, fills, cancels, crashes, clocks and halts in any order, against the pure model.

A long run: STATEFUL_EXAMPLES=20000 STATEFUL_STEPS=100. A failure prints its steps, and a line that
replays them. CRASH_SEED chooses the mutants of a run; CRASH_ALL=1 takes all of them.
"""

import os
import random
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import OrderMachine
from tests.stateful.mutants import MUTANTS, Mutant
from tests.stateful.runs import Fault
from tests.stateful.world import World, intent_of
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildType, Side

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "500"))
STEPS = int(os.environ.get("STATEFUL_STEPS", "50"))
EXAMPLES_PER_BATCH = 1_000
"""Hypothesis remembers every example of a batch, so a long run needs several."""
MUTANT_EXAMPLES = 2_000
"""A mutant that lives through as many is not noticed."""
_ALL = os.environ.get("CRASH_ALL") == "1"
_CHANCE = random.Random(f"{os.environ.get('CRASH_SEED')}-mutants")
CHOSEN = MUTANTS if _ALL else tuple(_CHANCE.sample(MUTANTS, k=4))
"""What is broken in this run: all of it takes a minute and a half."""
ALL_CHECKS = list(HealthCheck)
_STEPS_PER_SECOND_AT_LEAST = 100


@pytest.mark.timeout(60 + EXAMPLES * STEPS // _STEPS_PER_SECOND_AT_LEAST)
def test_an_order_ends_as_its_venue_says_whatever_happens() -> None:
    for done in range(0, EXAMPLES, EXAMPLES_PER_BATCH):
        batch = settings(
            max_examples=min(EXAMPLES_PER_BATCH, EXAMPLES - done),
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=ALL_CHECKS,
        )
        run_state_machine_as_test(OrderMachine, settings=batch)


def test_a_rejection_that_a_held_worker_stores_after_the_last_look_up_ends_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look-up that proves absence and the proof's own transaction."""
    world = World(intent_of(ChildType.LIMIT, Decimal("0.004"), side=Side.BUY), None)
    world.install(monkeypatch)
    world.venue.rejects = True
    world.scheduler.armed["record_rejection.before"] = Fault.HOLD
    world.scheduler.armed["prove_absent.before"] = Fault.HOLD
    world.pass_time(25_000)
    assert world.ledger.child is not None
    assert world.ledger.child.known.status is ChildStatus.UNKNOWN
    assert world.scheduler.armed == {}
    world.scheduler.release()  # the worker that submitted goes first
    world.drain()
    assert world.host.ended is not None
    assert world.host.ended.status is ChildStatus.REJECTED
    assert len(world.ledger.child.attempts) == 1


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.__name__)
def test_the_state_machine_notices_when_the_protocol_is_broken(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    few = settings(
        max_examples=MUTANT_EXAMPLES,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=ALL_CHECKS,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(OrderMachine, settings=few)
