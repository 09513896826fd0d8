"""Icebergs and protective orders with the `temporal` program alone: followed, steered, previewed.

What is sent are the documents of the interface, with numbers as a stranger writes them. What is
wrong with an order is said with the same code and field by its end and by its preview.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.temporal_cli import TemporalCli, order
from tests.e2e.proof import assert_ledger_is_exchange
from tests.e2e.world import VENUE, World, until
from workflows.domain.orders import client_order_id

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 30.0
APART = 49800
"""Where nobody trades unless the test says so."""
ICEBERG = {"order_type": "iceberg", "price": APART, "iceberg_display": 0.003}
LOSS = {"order_type": "stop_loss", "side": "sell", "stop_price": 49000}
PROFIT = {"order_type": "take_profit", "side": "sell", "take_profit_price": 51000}
TRAIL = {"order_type": "trailing_stop", "side": "sell", "trailing_delta_bps": 500}
PAIR = {"order_type": "oco", "side": "sell", "oco_limit_price": 51000, "stop_price": 49000}
ANN = ("--input", '{"requested_by":"ann","reason":"news"}')
AT_A_TIME = 6


class Cli(TemporalCli):
    """The program, and what of an order it shows."""

    async def until_told(self, order_id: str, told: Callable[[Any], bool]) -> Any:
        """The progress that is as wanted."""
        shown: list[Any] = []

        async def is_told() -> bool:
            shown[:] = [await self.progress(order_id)]
            return told(shown[0])

        await until(is_told, WITHIN_S)
        return shown[0]

    async def shows(self, order_id: str, **iceberg: str | None) -> Any:
        """The progress, once its iceberg looks so."""
        return await self.until_told(
            order_id, lambda now: iceberg.items() <= (now["iceberg"] or {}).items()
        )

    async def guards(self, order_id: str) -> Any:
        """The progress of a protective order, once it is armed."""
        return await self.until_told(
            order_id,
            lambda now: now["status"] == "waiting_price" and now["stop"]["phase"] == "armed",
        )


@pytest.fixture
def cli(world: World, tmp_path) -> Cli:
    return Cli(world, str(tmp_path))


@pytest.fixture
def new_id(world: World) -> Callable[[], str]:
    """Ids that no order has."""

    def made() -> str:
        world.made += 1
        return f"cli-{os.getpid()}-{world.made}"

    return made


def body(**fields: Any) -> tuple[str, str]:
    return ("--input", json.dumps(fields))


# --- orders that are steered ----------------------------------------------------------------------


async def test_an_iceberg_is_followed_paused_amended_resumed_and_cancelled(cli: Cli, new_id):
    order_id = new_id()
    hidden = ICEBERG | {"placement": "engine"}
    await cli.start("IcebergOrder", order_id, "--input", order(order_id, **hidden))
    await _rests(cli, order_id, 0)
    await _fill(cli, order_id, 0, "0.002")
    now = await cli.shows(order_id, current_tip="0.001", hidden_quantity="0.007", percent="20")
    assert (now["iceberg"]["placement"], now["iceberg"]["display_quantity"]) == ("engine", "0.003")
    for name, wrong, code in (
        ("resume", (), "NOT_PAUSED"),
        ("amend", body(quantity=0.001), "AMEND_BELOW_FILLED"),
        ("amend", body(max_participation=0.1), "FIELD_NOT_ALLOWED"),
        ("amend", body(end_at="2020-01-01T00:00:00Z"), "END_BEFORE_START"),
    ):
        assert code in await cli.refusal(order_id, name, *wrong)
    paused = await cli.update(order_id, "pause", *ANN)
    assert (paused["status"], paused["iceberg"]["current_tip"]) == ("paused", None)
    assert not _open_orders(cli, paused)
    amended = await cli.update(order_id, "amend", *body(price=APART + 50, quantity=0.02))
    assert (amended["quantity"], amended["price"], amended["status"]) == ("0.02", "49850", "paused")
    await cli.update(order_id, "resume")
    now = await cli.shows(order_id, current_price="49850")
    assert [each["kind"] for each in now["actions"]] == ["pause", "amend", "resume"]
    assert (now["actions"][0]["requested_by"], now["actions"][0]["reason"]) == ("ann", "news")
    await cli.tell(order_id, "cancel", *body(reason="enough"))
    done = await cli.result(order_id)
    assert (done["status"], done["reason"]) == ("cancelled", "enough")
    assert (done["filled_quantity"], done["remaining_quantity"]) == ("0.002", "0.018")
    assert not _open_orders(cli, done)
    await assert_ledger_is_exchange(cli.world)


async def test_a_trailing_stop_tells_whether_it_protects_while_it_is_steered(cli: Cli, new_id):
    order_id = new_id()
    kept = TRAIL | {"placement": "engine"}
    await cli.start("StopOrder", order_id, "--input", order(order_id, **kept))
    now = await cli.guards(order_id)
    assert (now["stop"]["is_protected"], now["stop"]["protected_quantity"]) == (True, "0.01")
    assert "FIELD_NOT_ALLOWED" in await cli.refusal(order_id, "amend", *body(price=49000))
    assert "UNKNOWN_FIELD" in await cli.refusal(order_id, "amend", *body(stop_price=49000))
    paused = await cli.update(order_id, "pause", *ANN)
    assert (paused["status"], paused["stop"]["is_protected"]) == ("paused", False)
    amended = await cli.update(order_id, "amend", *body(quantity=0.02))
    assert (amended["quantity"], amended["stop"]["is_protected"]) == ("0.02", False)
    await cli.update(order_id, "resume")
    now = await cli.guards(order_id)
    assert now["stop"]["protected_quantity"] == "0.02"
    await cli.tell(order_id, "cancel")
    done = await cli.result(order_id)
    assert (done["status"], done["reason"]) == ("cancelled", "user_request: 0.02 unprotected")


async def test_orders_that_the_exchange_keeps_are_armed_there_and_taken_off_by_a_cancel(
    cli: Cli, new_id
):
    async def kept(kind: str, fields: dict[str, Any]) -> None:
        order_id = new_id()
        told = order(order_id, **fields, placement="native")
        await cli.start(kind, order_id, "--input", told)
        if kind == "StopOrder":
            now = await cli.guards(order_id)
            assert now["stop"]["placement"] == "native"
            assert now["stop"]["is_protected"]
        else:
            now = await cli.shows(order_id, placement="native", current_tip="0.003")
        await until(lambda: bool(_open_orders(cli, now)), WITHIN_S)
        assert (await cli("cancel", "--workflow-id", order_id)).code == 0
        done = await cli.result(order_id)
        assert (done["status"], done["filled_quantity"]) == ("cancelled", "0")
        assert not _open_orders(cli, done)

    protective = (kept("StopOrder", fields) for fields in (LOSS, PROFIT, TRAIL, PAIR))
    await asyncio.gather(kept("IcebergOrder", ICEBERG), *protective)
    await assert_ledger_is_exchange(cli.world)


async def _rests(cli: Cli, order_id: str, index: int) -> None:
    child = client_order_id(order_id, index)
    await until(lambda: any(each.is_open for each in _orders_named(cli, child)), WITHIN_S)


async def _fill(cli: Cli, order_id: str, index: int, quantity: str) -> None:
    """The market trades with this resting child."""
    child = client_order_id(order_id, index)
    await cli.world.faults.act("fill", client_order_id=child, quantity=Decimal(quantity))


def _orders_named(cli: Cli, child: str) -> list[Any]:
    """The exchange's orders of one child: one, or the two legs of a pair."""
    log = cli.world.log(VENUE)
    return [each for leg in ("", "a", "b") for each in log.orders_named(child + leg)]


def _open_orders(cli: Cli, told: Any) -> list[Any]:
    """Those of this order that stand at the exchange."""
    children = (child["client_order_id"] for child in told["children"] or ())
    return [each for child in children for each in _orders_named(cli, child) if each.is_open]


# --- previews and bad starts ----------------------------------------------------------------------


async def test_a_preview_tells_who_would_keep_it_and_what_would_be_sent(cli: Cli, new_id):
    orders_before = len(cli.world.log().orders)
    expected: list[tuple[dict[str, Any], str, list[str]]] = [
        (ICEBERG, "native", ["0.01"]),
        (ICEBERG | {"placement": "engine"}, "engine", ["0.003", "0.003", "0.003", "0.001"]),
        (LOSS, "native", ["0.01"]),
        (TRAIL | {"placement": "engine"}, "engine", ["0.01"]),
        (PAIR, "native", ["0.01"]),
    ]

    async def previewed(fields: dict[str, Any]) -> tuple[bool, str, list[str]]:
        name = new_id()
        await cli.start("PreviewOrder", name, "--input", order(name, **fields))
        told = await cli.result(name)
        return told["accepted"], told["placement"], [row["quantity"] for row in told["schedule"]]

    told = await asyncio.gather(*(previewed(fields) for fields, _, _ in expected))
    assert told == [(True, placement, rows) for _, placement, rows in expected]
    assert len(cli.world.log().orders) == orders_before


Wrong = tuple[dict[str, Any], str, str | None]
WRONG: dict[str, list[Wrong]] = {
    "IcebergOrder": [
        (ICEBERG | {"price": None}, "MISSING_FIELD", "price"),
        (ICEBERG | {"iceberg_visible_ratio": 0.5}, "FIELD_NOT_ALLOWED", "iceberg_visible_ratio"),
        (
            ICEBERG | {"iceberg_display": None, "iceberg_visible_ratio": 1.5},
            "OUT_OF_RANGE",
            "iceberg_visible_ratio",
        ),
        (
            ICEBERG | {"iceberg_display": None, "iceberg_visible_ratio": 0},
            "OUT_OF_RANGE",
            "iceberg_visible_ratio",
        ),
        (ICEBERG | {"iceberg_display": 0.0000001}, "PRECISION", "iceberg_display"),
        (ICEBERG | {"iceberg_display": 0.00001}, "MIN_NOTIONAL", "iceberg_display"),
        (ICEBERG | {"placement": "native", "iceberg_variance": 0.1}, "NOT_NATIVE", "placement"),
        (ICEBERG | {"stop_price": 49000}, "FIELD_NOT_ALLOWED", "stop_price"),
    ],
    "StopOrder": [
        (LOSS | {"order_type": None}, "MISSING_FIELD", "order_type"),
        (LOSS | {"side": "buy"}, "STOP_WRONG_SIDE", "stop_price"),
        (LOSS | {"trigger_source": "mark"}, "TRIGGER_SOURCE", "trigger_source"),
        (LOSS | {"quantity": 3}, "RISK_MAX_NOTIONAL", "quantity"),
        (PAIR | {"oco_limit_price": 48000}, "OCO_PRICES", "oco_limit_price"),
        (TRAIL | {"price": 49000}, "FIELD_NOT_ALLOWED", "price"),
        (
            TRAIL | {"trailing_delta_bps": 9_000, "placement": "native"},
            "OUT_OF_RANGE",
            "trailing_delta_bps",
        ),
    ],
}


async def test_a_wrong_order_and_its_preview_are_refused_with_the_same_code(cli: Cli, new_id):
    orders_before = len(cli.world.log().orders)
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(kind: str, fields: dict[str, Any]) -> Any:
        async with turns:
            name = new_id()
            await cli.start(kind, name, "--input", order(name, **fields))
            return await cli.result(name)

    def all_as(kind: str | None) -> Awaitable[list[Any]]:
        cases = ((named, fields) for named, rows in WRONG.items() for fields, _, _ in rows)
        return asyncio.gather(*(one(kind or named, fields) for named, fields in cases))

    expected = [(code, field) for rows in WRONG.values() for _, code, field in rows]
    ended = await all_as(None)
    assert [(done["code"], done["field"]) for done in ended] == expected
    assert {done["status"] for done in ended} == {"denied"}
    told = await all_as("PreviewOrder")
    assert [(each["code"], each["field"]) for each in told] == expected
    assert not any(each["accepted"] for each in told)
    assert len(cli.world.log().orders) == orders_before
