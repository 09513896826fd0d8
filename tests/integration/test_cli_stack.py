"""The command line against the whole local stack, as a user runs it; and operators' decisions."""

import asyncio
import json
import signal
from decimal import Decimal

import httpx
import pytest

from tests.integration.starters_stack import (
    ORDER,
    ORDERS,
    RESTING,
    cli,
    new_id,
    start_cli,
    until_status,
)
from workers.local_stack import LocalStack

pytest_plugins = ["tests.integration.starters_stack_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_command_line_places_watches_shows_lists_and_cancels(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01"]
    code, out, err = await cli(environ, "order", "market", *base, "--watch", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["status"] == "filled"

    order_id = new_id()
    resting = ["order", "limit", *base, "--price", "49250", "--id", order_id]
    code, out, err = await cli(environ, *resting)
    assert (code, order_id in out, err) == (0, True, "")
    code, out, _ = await cli(environ, "orders", "list", "--json", "--limit", "1")
    assert (code, json.loads(out)["orders"][0]["order_id"]) == (0, order_id)
    code, out, _ = await cli(environ, "orders", "cancel", order_id, "--json")
    assert (code, json.loads(out)["status"]) == (0, "cancelled")
    code, out, _ = await cli(environ, "orders", "show", order_id)
    assert (code, "cancelled" in out) == (0, True)


async def test_the_command_line_steers_an_iceberg_and_previews_another(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    order_id = new_id()
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.1", "--price", "49250"]
    code, out, err = await cli(environ, "orders", "preview", "iceberg", *base, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["placement"] == "native"
    code, _, err = await cli(environ, "order", "iceberg", *base, "--id", order_id)
    assert (code, err) == (0, "")
    code, out, _ = await cli(environ, "orders", "pause", order_id, "--reason", "news", "--json")
    assert (code, json.loads(out)["status"]) == (0, "paused")
    code, out, _ = await cli(environ, "orders", "amend", order_id, "--quantity", "0.2", "--json")
    assert (code, json.loads(out)["quantity"]) == (0, "0.2")
    code, _, err = await cli(environ, "orders", "amend", order_id, "--max-participation", "0.1")
    assert (code, err.partition(":")[0]) == (2, "FIELD_NOT_ALLOWED")
    code, out, _ = await cli(environ, "orders", "resume", order_id, "--json")
    assert (code, json.loads(out)["actions"][0]["reason"]) == (0, "news")
    code, out, _ = await cli(environ, "orders", "cancel", order_id)
    assert (code, "cancelled" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "expected", "code"),
    [
        (["--symbol", "XXX/YYY", "--quantity", "1"], 2, "UNKNOWN_SYMBOL"),
        (["--symbol", "BTC/USDT", "--quantity", "0.0000001"], 2, "PRECISION"),
        (["--symbol", "BTC/USDT", "--quantity", "1000"], 2, "RISK_MAX_NOTIONAL"),
    ],
)
async def test_a_denied_order_is_its_code_in_one_line(
    stack: LocalStack, environ: dict[str, str], arguments: list[str], expected: int, code: str
) -> None:
    given, out, err = await cli(environ, "order", "market", "--side", "buy", *arguments)
    assert (given, out) == (expected, "")
    assert err.startswith(f"{code}: ")
    assert len(err.strip().splitlines()) == 1


async def test_an_order_that_expires_unfilled_did_not_complete(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01"]
    far = ["--price", "49250", "--time-in-force", "IOC", "--watch", "--json"]
    code, out, _ = await cli(environ, "order", "limit", *base, *far)
    assert (code, json.loads(out.splitlines()[-1])["status"]) == (1, "expired")


async def test_ctrl_c_leaves_the_order_running_and_says_how_to_cancel_it(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.01", "--price", "49250"]
    watch = ["order", "limit", *base, "--id", order_id, "--watch", "--json"]
    process = await start_cli(environ, *watch)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 1
    assert f"python -m starters orders cancel {order_id}" in err.decode()
    assert "Traceback" not in err.decode()
    await until_status(http, order_id, "working")
    await http.post(f"{ORDERS}/{order_id}/cancel")


async def test_the_command_line_shows_the_books_and_decides_on_the_real_ledger(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    strategy = new_id()
    base = ["--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.02", "--watch", "--json"]
    code, out, err = await cli(environ, "order", "market", *base, "--strategy-id", strategy)
    assert (code, err) == (0, "")
    order = json.loads(out.splitlines()[-1])
    fee = order["fees"].get("BTC", "0")

    shown = await asyncio.gather(
        *(
            cli(environ, *command, "--json")
            for command in (
                ["positions", "show", strategy, "binance", "BTC-USDT"],
                ["orders", "statistics", "--strategy-id", strategy],
                ["positions", "sync", "binance"],
            )
        )
    )
    assert [(code, err) for code, _, err in shown] == [(0, "")] * 3
    position, statistics, report = (json.loads(out) for _, out, _ in shown)
    assert Decimal(position["quantity"]) == Decimal("0.02") - Decimal(fee)
    assert statistics["by_status"] == {"filled": 1}
    assert report["accounts"][0]["account"] == "main"

    scope = f"strategy:{strategy}"
    limit = ["risk", "set", scope, "max_order_quantity", "0.01", "--reason", "first week"]
    assert (await cli(environ, *limit))[0] == 0
    too_much = ["order", "market", *base[:-2], "--strategy-id", strategy]
    code, _, err = await cli(environ, *too_much)
    assert (code, err.partition(":")[0]) == (2, "RISK_MAX_QTY")
    code, _, err = await cli(environ, "alarms", "ack", "999999")
    assert (code, err.partition(":")[0]) == (1, "NOT_FOUND")


async def test_a_transfer_is_booked_once_with_its_reason_and_shows_as_a_difference(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    before = (await http.get("/api/v1/balances/binance")).json()
    ours = next(each["ours"] for each in before["balances"] if each["asset"] == "USDT")
    booked = ["positions", "transfer", "binance", "USDT", "--amount", "5", "--reason", "test"]
    code, out, err = await cli(environ, *booked, "--json")
    assert (code, err) == (0, "")
    after = next(each["ours"] for each in json.loads(out)["balances"] if each["asset"] == "USDT")
    assert Decimal(after) == Decimal(ours) + 5
    undo = {"asset": "USDT", "amount": "-5", "reason": "undone"}
    assert (await http.post("/api/v1/balances/binance/transfers", json=undo)).status_code == 200


async def test_a_verdict_on_what_is_not_unknown_is_refused_and_changes_nothing(
    http: httpx.AsyncClient,
) -> None:
    order_id = (await http.post(ORDERS, json={**RESTING, "order_id": new_id()})).json()["order_id"]
    await until_status(http, order_id, "working")
    path, verdict = f"{ORDERS}/{order_id}", {"verdict": "absent", "reason": "a test"}
    refused = await http.post(f"{path}/children/0/resolve", json=verdict)
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_UNKNOWN")
    assert (await http.post(f"{path}/cancel")).json()["status"] == "cancelled"
    late = await http.post(f"{path}/children/0/resolve", json=verdict)
    assert (late.status_code, late.json()["code"]) == (409, "ALREADY_TERMINAL")


async def test_an_override_takes_two_people_and_a_limit_binds_the_next_order(
    http: httpx.AsyncClient,
) -> None:
    strategy = new_id()
    scope, order = f"strategy:{strategy}", {**ORDER, "strategy_id": strategy}
    limit = {"scope": scope, "name": "max_order_quantity", "value": "0.001", "reason": "a test"}
    assert (await http.put("/api/v1/risk/limits", json=limit)).status_code == 200
    assert (await http.post(ORDERS, json=order)).json()["code"] == "RISK_MAX_QTY"
    asked = {"scope": scope, "code": "RISK_MAX_QTY", "minutes": 1, "reason": "a test"}
    nobody = await http.post("/api/v1/risk/overrides", json=asked)
    assert (nobody.json()["code"], nobody.json()["field"]) == ("MISSING_FIELD", "requested_by")
    one, another = {"requested_by": "desk-1"}, {"requested_by": "desk-2"}
    override = (await http.post("/api/v1/risk/overrides", json=asked | one)).json()
    path = f"/api/v1/risk/overrides/{override['id']}/approve"
    assert (await http.post(path, json={})).json()["field"] == "requested_by"
    assert (await http.post(path, json=one)).json()["code"] == "NEEDS_ANOTHER"
    assert (await http.post(path, json=another)).json()["status"] == "in_force"
    assert (await http.post(ORDERS, json=order)).status_code == 201
