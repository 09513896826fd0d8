"""Orders with the `temporal` program alone: what any service in any language can do without us.

Whatever a stranger sends ends in a clear result or changes nothing; no workflow task ever fails,
since one that fails is tried again for ever. CRASH_SEED chooses which type of order each form that
is no order is sent to; CRASH_ALL=1 sends it to all.
"""

import json
import os
import random
from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import pytest

from tests.contract.temporal_cli import (
    CANCELS,
    DOUBLED,
    NO_BODY,
    NULL,
    PLAIN_TEXT,
    TWO,
    TemporalCli,
    order,
)
from tests.e2e.proof import assert_ledger_is_exchange, assert_tasks_never_failed
from tests.e2e.world import World, until

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

TYPES = {
    "MarketOrder": "market",
    "LimitOrder": "limit",
    "TwapOrder": "twap",
    "IcebergOrder": "iceberg",
    "StopOrder": "stop_loss",
}
FAR_BELOW = "49900"
_ALL = os.environ.get("CRASH_ALL") == "1"
_CHANCE = random.Random(f"{os.environ.get('CRASH_SEED')}-bad-starts")
BAD_STARTS = [
    (kind, *bad) for bad in NO_BODY for kind in (TYPES if _ALL else [_CHANCE.choice(list(TYPES))])
]
"""Each form with one type, or with all."""


class Cli(TemporalCli):
    """The program, and orders that rest."""

    async def rest(self, order_id: str) -> None:
        """A limit order that rests far from the market, once it is at the exchange."""
        body = {"order_type": "limit", "quantity": 0.1, "price": int(FAR_BELOW)}
        await self.start("LimitOrder", order_id, "--input", order(order_id, **body))
        await until(lambda: self._is_resting(order_id))

    async def _is_resting(self, order_id: str) -> bool:
        children = (await self.progress(order_id))["children"]
        return bool(children) and children[0]["venue_order_id"] is not None


@pytest.fixture
def cli(world: World, tmp_path) -> Cli:
    return Cli(world, str(tmp_path))


@pytest.fixture
def order_id(world: World) -> str:
    """An id that no order has."""
    world.made += 1
    return f"cli-{os.getpid()}-{world.made}"


# --- orders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("MarketOrder", {}),
        ("MarketOrder", {"order_type": "market", "quantity": "0.01"}),
        ("LimitOrder", {"price": 50010, "time_in_force": "IOC"}),
        ("TwapOrder", {"twap_slices": 2, "twap_interval": 0.3}),
        ("IcebergOrder", {"price": 50200, "iceberg_display": 0.005, "placement": "engine"}),
        ("StopOrder", {"order_type": "stop_loss", "side": "sell", "stop_price": 50900}),
    ],
)
async def test_each_type_is_started_and_filled(cli: Cli, order_id, kind, fields):
    await cli.start(kind, order_id, "--input", order(order_id, **fields))
    done = await cli.result(order_id)
    assert (done["status"], done["filled_quantity"]) == ("filled", "0.01")
    assert (done["order_id"], done["order_type"]) == (order_id, TYPES[kind])
    await assert_ledger_is_exchange(cli.world)


async def test_progress_show_and_list_tell_of_a_working_order(cli: Cli, order_id):
    await cli.rest(order_id)
    now = await cli.progress(order_id)
    assert (now["status"], now["price"], now["filled_quantity"]) == ("working", FAR_BELOW, "0")
    shown = (await cli("show", "--workflow-id", order_id)).json
    assert shown["events"][0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
    assert await _is_listed(cli, order_id, "working")
    await cli("signal", "--workflow-id", order_id, "--name", "cancel")
    await cli.result(order_id)
    assert await _is_listed(cli, order_id, "cancelled")


async def _is_listed(cli: Cli, order_id: str, status: str) -> bool:
    """Listed with this status; the list follows the workflows at a small distance."""
    query = f'StrategyId="{order_id}" AND OrderStatus="{status}"'

    async def is_listed() -> bool:
        found = (await cli("list", "--query", query)).json
        return [each["execution"]["workflowId"] for each in found] == [order_id]

    await until(is_listed)
    return True


async def test_an_id_started_again_with_another_body_is_denied(cli: Cli, order_id):
    await cli.start("MarketOrder", order_id, "--input", order(order_id))
    first = await cli.result(order_id)
    await cli.start("MarketOrder", order_id, "--input", order(order_id))
    assert await cli.result(order_id) == first | {"updated_at": ANY}
    await cli.start("MarketOrder", order_id, "--input", order(order_id, quantity=0.02))
    assert (await cli.result(order_id))["code"] == "IDEMPOTENCY_CONFLICT"
    await assert_ledger_is_exchange(cli.world)


# --- cancel -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "reason"), CANCELS)
async def test_a_cancel_signal_cancels_whatever_comes_with_it(cli: Cli, order_id, inputs, reason):
    await cli.rest(order_id)
    said = await cli("signal", "--workflow-id", order_id, "--name", "cancel", *inputs)
    assert said.code == 0, said.error
    done = await cli.result(order_id)
    assert (done["status"], done["reason"]) == ("cancelled", reason)
    assert not any(each.is_open for each in _orders_of(cli, done))


@pytest.mark.parametrize(("inputs", "reason"), [CANCELS[0], CANCELS[2], CANCELS[10], CANCELS[11]])
async def test_a_cancel_update_answers_with_the_final_state(cli: Cli, order_id, inputs, reason):
    await cli.rest(order_id)
    update = ("update", "execute", "--workflow-id", order_id, "--name", "cancel")
    answer = (await cli(*update, *inputs)).json["result"]
    assert (answer["status"], answer["reason"]) == ("cancelled", reason)
    # the program itself shows an empty list in a result as null, and in an answer as a list
    assert await cli.result(order_id) == answer | {"actions": answer["actions"] or None}


async def test_temporals_own_cancel_cancels_the_order(cli: Cli, order_id):
    await cli.rest(order_id)
    assert (await cli("cancel", "--workflow-id", order_id)).code == 0
    done = await cli.result(order_id)
    assert (done["status"], done["filled_quantity"]) == ("cancelled", "0")
    assert not any(each.is_open for each in _orders_of(cli, done))
    await assert_ledger_is_exchange(cli.world)


def _orders_of(cli: Cli, done: Any) -> list[Any]:
    log = cli.world.log()
    return [each for c in done["children"] for each in log.orders_named(c["client_order_id"])]


# --- steering ---------------------------------------------------------------------------------


async def test_a_resting_order_is_paused_amended_and_resumed_by_updates(cli: Cli, order_id):
    await cli.rest(order_id)
    update = ("update", "execute", "--workflow-id", order_id, "--name")
    asked = ("--input", '{"requested_by":"ann","reason":"news"}')
    assert (await cli(*update, "pause", *asked)).json["result"]["status"] == "paused"
    assert await _is_listed(cli, order_id, "paused")
    amended = (await cli(*update, "amend", "--input", '{"quantity":0.2}')).json["result"]
    assert (amended["quantity"], amended["status"]) == ("0.2", "paused")
    resumed = (await cli(*update, "resume")).json["result"]
    assert [each["kind"] for each in resumed["actions"]] == ["pause", "amend", "resume"]
    assert resumed["actions"][0]["requested_by"] == "ann"
    await cli("signal", "--workflow-id", order_id, "--name", "cancel")
    done = await cli.result(order_id)
    assert (done["status"], done["quantity"]) == ("cancelled", "0.2")


@pytest.mark.parametrize(
    ("name", "inputs", "code"),
    [
        ("resume", (), "NOT_PAUSED"),
        ("amend", (), "MISSING_FIELD"),
        ("amend", NULL, "MISSING_FIELD"),
        ("amend", ("--input", '{"side":"sell"}'), "UNKNOWN_FIELD"),
        ("amend", ("--input", '{"price":-1}'), "NOT_POSITIVE"),
        ("pause", ("--input", "[]"), "INVALID_TYPE"),
        ("pause", PLAIN_TEXT, "INVALID_JSON"),
        ("pause", DOUBLED, "DUPLICATE_FIELD"),
    ],
)
async def test_steering_that_makes_no_sense_is_refused_with_its_code(
    cli: Cli, order_id, name, inputs, code
):
    await cli.rest(order_id)
    said = await cli("update", "execute", "--workflow-id", order_id, "--name", name, *inputs)
    assert said.code != 0
    assert code in said.out + said.error
    assert (await cli.progress(order_id))["status"] == "working"
    await cli("signal", "--workflow-id", order_id, "--name", "cancel")
    assert not (await cli.result(order_id))["actions"]


async def test_a_preview_is_a_workflow_whose_result_is_the_verdict(cli: Cli, order_id):
    orders_before = len(cli.world.log().orders)
    twap = order(order_id, order_type="twap", twap_slices=4, quantity=0.1)
    await cli.start("PreviewOrder", f"{order_id}.preview", "--input", twap)
    told = await cli.result(f"{order_id}.preview")
    assert (told["accepted"], told["schedule_total"]) == (True, 4)
    await cli.start("PreviewOrder", f"{order_id}.nothing", "--input", "{}")
    refused = await cli.result(f"{order_id}.nothing")
    assert (refused["accepted"], refused["code"]) == (False, "MISSING_FIELD")
    assert len(cli.world.log().orders) == orders_before


# --- other messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ((), None),
        (NULL, "IDEMPOTENCY_CONFLICT"),
        (PLAIN_TEXT, "IDEMPOTENCY_CONFLICT"),
        (DOUBLED, "IDEMPOTENCY_CONFLICT"),
        (("--input", order("x", quantity=0.5)), "IDEMPOTENCY_CONFLICT"),
    ],
)
async def test_the_accept_update_answers_the_verdict_and_denies_any_other_body(
    cli: Cli, order_id, inputs, code
):
    await cli.rest(order_id)
    update = ("update", "execute", "--workflow-id", order_id, "--name", "accept")
    answer = (await cli(*update, *inputs)).json["result"]
    assert (answer["status"], answer["code"]) == ("denied" if code else "working", code)
    assert (await cli.progress(order_id))["status"] == "working"
    await cli("signal", "--workflow-id", order_id, "--name", "cancel")
    await cli.result(order_id)


@pytest.mark.parametrize("name", ["execution_report", "price_trigger", "no_such_signal"])
@pytest.mark.parametrize("inputs", [(), ("--input", "5"), PLAIN_TEXT, DOUBLED])
async def test_a_signal_that_makes_no_sense_changes_nothing(cli: Cli, order_id, name, inputs):
    await cli.rest(order_id)
    assert (await cli("signal", "--workflow-id", order_id, "--name", name, *inputs)).code == 0
    assert (await cli.progress(order_id))["status"] == "working"
    await cli("signal", "--workflow-id", order_id, "--name", "cancel")
    assert (await cli.result(order_id))["status"] == "cancelled"


# --- bad starts -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "inputs", "code"), BAD_STARTS)
async def test_a_start_that_is_no_order_ends_denied(cli: Cli, order_id, kind, inputs, code):
    orders_before = len(cli.world.log().orders)
    await cli.start(kind, order_id, *inputs)
    done = await cli.result(order_id)
    assert (done["status"], done["code"]) == ("denied", code)
    assert len(cli.world.log().orders) == orders_before


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"quantity": [1]}, "INVALID_TYPE", "quantity"),
        ({"quantity": True}, "INVALID_TYPE", "quantity"),
        ({"quantity": "1e400"}, "INVALID_DECIMAL", "quantity"),
        ({"quantity": -1}, "NOT_POSITIVE", "quantity"),
        ({"quantity": "0.000001"}, "PRECISION", "quantity"),
        ({"side": 5}, "INVALID_TYPE", "side"),
        ({"side": "hold"}, "UNKNOWN_ENUM", "side"),
        ({"symbol": "XXX/YYY"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"exchange": "nowhere"}, None, "exchange"),
        ({"side": None}, "MISSING_FIELD", "side"),
        ({"order_id": "another"}, "FIELD_NOT_ALLOWED", "order_id"),
        ({"order_type": "twap"}, "FIELD_NOT_ALLOWED", "order_type"),
        ({"account": "nobody"}, None, "account"),
        ({"admin": True}, "UNKNOWN_FIELD", "admin"),
    ],
)
async def test_a_start_with_a_wrong_field_names_it(cli: Cli, order_id, fields, code, field):
    orders_before = len(cli.world.log().orders)
    await cli.start("MarketOrder", order_id, "--input", order(order_id, **fields))
    done = await cli.result(order_id)
    assert (done["status"], done["field"]) == ("denied", field)
    assert code in (None, done["code"])
    assert Decimal(done["filled_quantity"]) == 0
    assert len(cli.world.log().orders) == orders_before


@pytest.mark.parametrize("inputs", [(), ("--input", "5"), TWO, PLAIN_TEXT, DOUBLED])
async def test_a_feed_started_wrongly_fails_for_good(cli: Cli, order_id, inputs):
    await cli.start("AccountFeed", order_id, *inputs)
    ended = await cli("result", "--workflow-id", order_id)
    told = json.loads(ended.out)
    assert told["status"] == "FAILED"
    assert told["closeEvent"]["workflowExecutionFailedEventAttributes"]["failure"][
        "applicationFailureInfo"
    ] == {"type": "INVALID_INPUT", "nonRetryable": True}
    await assert_tasks_never_failed(cli.world, order_id)
