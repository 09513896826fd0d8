"""The command line against the whole local stack, as a user runs it."""

import asyncio
import json
import signal

import httpx
import pytest

from tests.integration.starters_stack import (
    ORDERS,
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
