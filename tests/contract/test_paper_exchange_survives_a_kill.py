"""kill -9 of a real exchange process loses nothing that it acknowledged."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt

from activities.venues.simulator.judge import read_log
from tests.contract.paper_venue import KEY, PAIR, SECRET, ccxt_client

D = Decimal
START_S = 20.0


class Process:
    """One run of the exchange as a process of its own, and a ccxt client for it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.client, self._session = ccxt_client("binance", f"http://127.0.0.1:{port}")

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def close(self) -> None:
        await self.client.close()
        await self._session.close()
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


@contextlib.asynccontextmanager
async def started(data_dir: Path, **changes: Any) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "activities.venues.simulator"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    config = {
        "name": "binance",
        "data_dir": str(data_dir),
        "accounts": {"main": {"api_key": KEY, "secret": SECRET}},
    }
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(config | changes).encode())
    process.stdin.write_eof()
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        run = Process(process, json.loads(line)["port"])
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        await run.client.load_markets()
        yield run
    finally:
        await run.close()


async def seen_by(client: Any) -> dict[str, Any]:
    """All that an account can read back."""
    orders = await client.fetch_open_orders(PAIR)
    trades = await client.fetch_my_trades(PAIR)
    balance = await client.fetch_balance()
    return {
        "open": [(o["id"], o["clientOrderId"], o["price"], o["filled"]) for o in orders],
        "trades": [(t["id"], t["order"], t["price"], t["amount"], t["fee"]) for t in trades],
        "balance": {asset: balance[asset] for asset in ("BTC", "ETH", "USDT")},
    }


async def test_a_restart_gives_back_orders_trades_balances_and_ids(tmp_path: Path) -> None:
    async with started(tmp_path, live_market=False) as run:
        await run.client.create_order(PAIR, "market", "buy", "1", None, {"clientOrderId": "m"})
        for number in range(5):
            sent = {"clientOrderId": f"rest{number}"}
            price = str(49_000 + number)
            last = await run.client.create_order(PAIR, "limit", "buy", "0.01", price, sent)
        await run.client.cancel_order(None, PAIR, {"clientOrderId": "rest0"})
        before = await seen_by(run.client)
        await run.kill()
    assert len(before["open"]) == 4
    async with started(tmp_path, live_market=False) as run:
        assert await seen_by(run.client) == before
        done = await run.client.fetch_order(None, PAIR, {"clientOrderId": "m"})
        assert (done["status"], D(done["filled"])) == ("closed", D(1))
        order = await run.client.create_order(PAIR, "limit", "buy", "0.01", "49000", {})
        assert int(order["id"]) > int(last["id"])
        await run.client.create_order(PAIR, "market", "sell", "0.01", None, {})
        trades = await run.client.fetch_my_trades(PAIR)
        assert int(trades[-1]["id"]) > max(int(each[0]) for each in before["trades"])


async def place_until_killed(
    client: Any, acknowledged: list[str], under_way: asyncio.Event
) -> None:
    """Orders one after the other, each a market order or one that rests."""
    for number in range(100_000):
        kind, price = ("limit", "49500") if number % 2 else ("market", None)
        sent = {"clientOrderId": f"n{number}"}
        await client.create_order(PAIR, kind, "buy", "0.01", price, sent)
        acknowledged.append(f"n{number}")
        if number == 60:
            under_way.set()


async def test_every_order_acknowledged_before_a_kill_in_mid_traffic_is_there(
    tmp_path: Path,
) -> None:
    acknowledged: list[str] = []
    async with started(tmp_path) as run:
        under_way = asyncio.Event()
        traffic = asyncio.create_task(place_until_killed(run.client, acknowledged, under_way))
        await asyncio.wait_for(under_way.wait(), START_S)
        await run.kill()
        with contextlib.suppress(ccxt.BaseError):
            await traffic
    async with started(tmp_path, live_market=False) as run:
        for client_id in acknowledged:
            found = await run.client.fetch_order(None, PAIR, {"clientOrderId": client_id})
            assert found["clientOrderId"] == client_id
        balance = await run.client.fetch_balance()
        log = read_log(tmp_path / "journal.jsonl")
    # One order may have been carried out without an answer, none twice.
    assert 0 <= len(log.orders) - len(acknowledged) <= 1
    assert log.duplicates() == {}
    assert log.contradictions() == []
    for asset, judged in log.final_balances("main").items():
        assert D(balance[asset]["free"]) == judged.free
        assert D(balance[asset]["used"]) == judged.locked


async def waiting(client: Any) -> tuple[Any, Any, Any]:
    """Open orders and lists in the venue's own words, and what is locked."""
    orders = await client.private_get_openorders({"symbol": "BTCUSDT"})
    return orders, await client.private_get_openorderlist(), (await client.fetch_balance())["used"]


async def test_waiting_orders_and_lists_outlive_a_kill_and_still_trigger(tmp_path: Path) -> None:
    sell = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5"}
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "60000", "belowType": "STOP_LOSS"}
    trailing = {"type": "STOP_LOSS", "trailingDelta": "10", "newClientOrderId": "trailing"}
    async with started(tmp_path, live_market=False) as run:
        await run.client.private_post_orderlist_oco(sell | legs | {"belowStopPrice": "40000"})
        await run.client.private_post_order(sell | trailing)
        before = await waiting(run.client)
        await run.kill()
    assert (len(before[0]), len(before[1]), D(before[2]["BTC"])) == (3, 1, D(1))
    async with started(tmp_path, live_market=False) as run:
        assert await waiting(run.client) == before
        # More than all bids together: the price falls by the delta, and nobody buys any more.
        await run.client.create_order(PAIR, "market", "sell", "60", None, {})
        named = {"symbol": "BTCUSDT", "origClientOrderId": "trailing"}
        fired = await run.client.private_get_order(named)
        assert (fired["status"], fired["isWorking"]) == ("EXPIRED", True)
        assert len((await waiting(run.client))[0]) == 2
        log = read_log(tmp_path / "journal.jsonl")
    assert log.contradictions() == []


async def test_sigterm_ends_the_process_cleanly(tmp_path: Path) -> None:
    async with started(tmp_path) as run:
        run.process.terminate()
        assert await asyncio.wait_for(run.process.wait(), START_S) == 0
