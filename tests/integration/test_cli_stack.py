"""The command line against the whole local stack, as a user runs it; and operators' decisions."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
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
from tests.terminal import CHECKOUT, shell, terminal, variables
from workers.local_stack import LocalStack

IN_ONE_PROCESS = """
import contextlib, io, json, sys
from starters.cli import main
for command in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
BUY = ("--symbol", "BTC/USDT", "--side", "buy", "--quantity", "0.04")
CTRL_C = "\x03"
pytest_plugins = ["tests.integration.starters_stack_fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def one_process(
    environ: dict[str, str], commands: Sequence[Sequence[str]]
) -> list[tuple[int, str, str]]:
    """Many commands as `cli` runs one; a process for each would take its second each time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IN_ONE_PROCESS, json.dumps(commands)),
        env=variables(environ),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return [tuple(json.loads(line)) for line in out.splitlines()]


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
    code, out, err = await cli(environ, "order", "limit", *base, *far)
    assert err == ""
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
    assert process.returncode == 130
    assert f"python -m starters orders cancel {order_id}" in err.decode()
    assert "[y/N]" not in err.decode()  # nobody is there to answer
    assert "Traceback" not in err.decode()
    await until_status(http, order_id, "working")
    await http.post(f"{ORDERS}/{order_id}/cancel")


async def test_on_a_terminal_ctrl_c_asks_and_a_second_one_leaves_the_order_running(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    twap = ["order", "twap", *BUY, "--twap-slices", "40", "--twap-interval", "2"]

    def watch() -> tuple[int, str]:
        with terminal(environ, *twap, "--id", order_id, "--watch") as screen:
            shown = screen.until("slice 1/40")
            assert "twap working" in shown
            assert "left" in shown
            assert "filled 0.0" in screen.until("average")
            screen.type(CTRL_C)
            screen.until("Cancel it now? [y/N]")
            screen.type(CTRL_C)
            return screen.end()

    code, shown = await asyncio.to_thread(watch)
    assert (code, "Traceback" in shown) == (130, False)
    assert f"python -m starters orders cancel {order_id}" in shown
    await until_status(http, order_id, "working")
    assert (await http.post(f"{ORDERS}/{order_id}/cancel")).status_code == 200


async def test_on_a_terminal_a_yes_cancels_what_was_watched(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    limit = ["order", "limit", *BUY, "--price", "49250"]

    def watch() -> tuple[int, str]:
        with terminal(environ, *limit, "--id", order_id, "--watch") as screen:
            screen.until("limit working")
            screen.type(CTRL_C)
            screen.until("Cancel it now? [y/N]")
            screen.type("y\n")
            return screen.end()

    code, shown = await asyncio.to_thread(watch)
    assert (code, "cancelled" in shown) == (130, True)
    await until_status(http, order_id, "cancelled")


async def test_a_reader_that_goes_away_leaves_the_order_running(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    order_id = new_id()
    twap = ["order", "twap", *BUY, "--twap-slices", "40", "--twap-interval", "2"]
    process = await start_cli(environ, *twap, "--id", order_id, "--watch")
    assert process.stdout is not None
    assert process.stderr is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    process.stdout._transport.close()  # type: ignore[attr-defined] # asyncio names no other way
    err = await asyncio.wait_for(process.stderr.read(), 30)
    assert await asyncio.wait_for(process.wait(), 10) == 1
    assert err.decode() == f"stopped watching; order {order_id} goes on.\n"
    assert (await http.post(f"{ORDERS}/{order_id}/cancel")).status_code == 200


async def test_every_listing_is_json_alone_and_a_table_that_fits_a_narrow_terminal(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    placed = await http.post(ORDERS, json={**ORDER, "order_id": new_id()})
    order_id = placed.json()["order_id"]
    commands = (
        ["orders", "list"],
        ["orders", "queue"],
        ["orders", "analyse", order_id],
        ["orders", "statistics"],
        ["fills", "list", "--order-id", order_id],
        ["balances", "show", "binance"],
        ["symbols", "list", "binance", "--symbol", "BTC/USDT"],
        ["positions", "breaks"],
        ["arbitrage", "list"],
        ["rebalance", "list"],
        ["audit", "list", "--verify"],
        ["keys", "list"],
        ["trading-state", "show"],
    )
    narrow = {**environ, "COLUMNS": "60"}
    both = [*commands, *([*command, "--json"] for command in commands)]
    answers = await one_process(narrow, both)
    assert [(code, err) for code, _, err in answers] == [(0, "")] * len(both)
    for _, shown, _ in answers[: len(commands)]:
        assert max(map(len, shown.splitlines())) <= 60
    for _, told, _ in answers[len(commands) :]:
        assert isinstance(json.loads(told), dict)


async def test_many_orders_are_cancelled_at_once_and_only_those_that_are_named(
    stack: LocalStack, environ: dict[str, str], http: httpx.AsyncClient
) -> None:
    mine, other = new_id(), new_id()
    ids = [f"{mine}-1", f"{mine}-2", f"{other}-1"]
    for order_id in ids:
        order = {**RESTING, "order_id": order_id, "strategy_id": order_id[:-2]}
        assert (await http.post(ORDERS, json=order | {"allow_similar": True})).status_code == 201
    code, out, err = await cli(environ, "orders", "cancel-all", "--strategy-id", mine, "--json")
    report = json.loads(out)
    assert (code, err, report["cancelled"]) == (0, "", 2)
    assert {each["order_id"] for each in report["orders"]} == set(ids[:2])
    await until_status(http, ids[2], "working")
    all_or_some = [["cancel-all"], ["cancel-all", "--strategy-id", other]]
    answers = await one_process(environ, [["orders", *each] for each in all_or_some])
    assert [code for code, _, _ in answers] == [2, 0]
    assert "--all" in answers[0][2]


async def test_a_shell_completes_commands_and_the_ids_of_orders(
    stack: LocalStack, environ: dict[str, str]
) -> None:
    order_id = new_id()
    limit = ["order", "limit", *BUY, "--price", "49250", "--id", order_id]
    assert (await cli(environ, *limit))[0] == 0

    def type_it() -> None:
        with shell(environ) as screen:
            screen.type("source <(python -m starters completion bash); echo rea''dy\n")
            screen.until("ready")
            screen.type("python -m starters trad\t")
            screen.until("trading-state")
            screen.type(f"\x15python -m starters orders cancel {order_id[:6]}\t")
            screen.until(order_id[6:])
            screen.type(" --json\n")
            screen.until('"status":"cancelled"')

    await asyncio.to_thread(type_it)


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
    http: httpx.AsyncClient, environ: dict[str, str]
) -> None:
    strategy = new_id()
    scope, order = f"strategy:{strategy}", {**ORDER, "strategy_id": strategy}
    limit = {"scope": scope, "name": "max_order_quantity", "value": "0.001", "reason": "a test"}
    assert (await http.put("/api/v1/risk/limits", json=limit)).status_code == 200
    assert (await http.post(ORDERS, json=order)).json()["code"] == "RISK_MAX_QTY"
    asked = {"scope": scope, "code": "RISK_MAX_QTY", "minutes": 1, "reason": "a test"}
    override = (await http.post("/api/v1/risk/overrides", json=asked)).json()
    path = f"/api/v1/risk/overrides/{override['id']}/approve"
    assert (await http.post(path, json={})).json()["code"] == "NEEDS_ANOTHER"
    as_other = {"requested_by": "desk-2"}
    assert (await http.post(path, json=as_other)).json()["code"] == "FIELD_NOT_ALLOWED"
    code, key, err = await cli(environ, "keys", "create", "desk-2", "--scope", "admin")
    assert (code, key.count("\n")) == (0, 1), err
    another = {"Authorization": f"Bearer {key.strip()}"}
    assert (await http.post(path, json={}, headers=another)).json()["status"] == "in_force"
    code, _, err = await cli(environ, "keys", "revoke", "desk-2")
    assert code == 0, err
    async with asyncio.timeout(1):  # so long may a key live that was revoked
        while (await http.get("/api/v1/audit", headers=another)).status_code != 401:
            await asyncio.sleep(0.05)
    assert (await http.post(ORDERS, json=order)).status_code == 201
