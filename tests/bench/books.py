"""How fast the books answer when they hold a million fills, beside the same with a thousand.

Rule: the fills, their orders and the positions are generated inside the database, without postings:
nothing that is measured reads those. What is measured is what the interfaces and reconciliation
call, one after the other, over one connection. Both ledgers are databases of their own on the
stack's server, gone afterwards.
"""

import asyncio
import importlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.engine import open_engine
from activities.ledger.migrate import upgrade
from activities.ledger.sync_reader import SyncReader
from activities.ledger.view_positions import PositionViews
from activities.ledger.view_statistics import StatisticsViews
from activities.ledger.views import LedgerViews
from tests.bench.figures import Measure, percentile
from tests.bench.rig import Rig

FEW, MANY = 1_000, 1_000_000
STRATEGIES, FILLS_PER_ORDER = 50, 20
CALLS = {"order": 300, "position": 300, "statistics": 300, "reconciliation": 30}
WARM_UP = 20
LOOK_BACK_S = Decimal(3600)
PAGE = 500
"""Trades of a venue's answer that are compared at once; fills that came since the last look."""
SEED = 7
EXCHANGE, ACCOUNT, SYMBOL = "binance", "main", "BTC/USDT"
_NAME = "bench_books"
_STATISTICS = importlib.import_module("activities.ledger.migrations.versions.0006_controls")
_PARENTS = """
    INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, exchange,
        symbol, side, order_type, quantity, priority, request, arrival_price, status,
        filled_quantity, created_at, accepted_at, finished_at)
    SELECT 'order-' || n, 'c', 'h', 's' || n % {strategies}, 'main',
        (ARRAY['binance', 'okx'])[1 + n % 2], (ARRAY['BTC/USDT', 'ETH/USDT'])[1 + n / 2 % 2],
        (ARRAY['buy', 'sell'])[1 + n / 4 % 2], (ARRAY['limit', 'market', 'twap'])[1 + n % 3],
        0.2, 3, '{{}}', 100, CASE WHEN n % 500 = 0 THEN 'working' ELSE 'filled' END, 0.2, at, at,
        CASE WHEN n % 500 <> 0 THEN at + interval '4 seconds' END
    FROM generate_series(0, {orders} - 1) AS n,
        LATERAL (SELECT now() - ({orders} - n) * interval '4 seconds' AS at) AS its_time
"""
_CHILDREN = """
    INSERT INTO child_orders (client_order_id, order_id, child_index, generation, strategy_id,
        account, exchange, symbol, side, child_type, time_in_force, post_only, quantity, status,
        venue_order_id, venue_status, executed_quantity, filled_quantity, created_at)
    SELECT order_id || '-' || k, order_id, k, 0, strategy_id, account, exchange, symbol, side,
        'limit', 'GTC', false, 0.05, 'filled', order_id || '-' || k, 'filled', 0.05, 0.05,
        created_at
    FROM parent_orders, generate_series(0, 3) AS k
"""
_ATTEMPTS = "INSERT INTO attempts SELECT client_order_id, 1, 'ACKED' FROM child_orders"
_FILLS = """
    INSERT INTO fills (exchange, account, symbol, trade_id, venue_order_id, client_order_id,
        strategy_id, side, price, quantity, fee, fee_asset, is_maker, traded_at)
    SELECT exchange, account, symbol,
        (row_number() OVER (ORDER BY created_at, child_index, k))::text,
        venue_order_id, client_order_id, strategy_id, side, 100 + k * 0.01, 0.01, 0.001, 'USDT',
        false, created_at + (child_index * 5 + k) * interval '0.2 seconds'
    FROM child_orders, generate_series(0, 4) AS k
"""
_POSITIONS = """
    INSERT INTO positions (strategy_id, account, exchange, symbol, quantity, cost, fees_quote, cash,
        fill_count, traded_at, trade_id)
    SELECT strategy_id, account, exchange, symbol, sum(signed), 100 * sum(signed), sum(fee),
        -sum(signed * price) - sum(fee), count(*), max(traded_at), max(trade_id)
    FROM fills, LATERAL (SELECT CASE side WHEN 'buy' THEN quantity ELSE -quantity END AS signed) s
    GROUP BY strategy_id, account, exchange, symbol
"""
_BESIDE = (
    "INSERT INTO marks SELECT DISTINCT exchange, symbol, 100 FROM positions",
    "INSERT INTO account_readiness SELECT DISTINCT exchange, account, 'READY' FROM positions",
    """
    INSERT INTO account_balances
    SELECT exchange, account, asset, 1000 FROM account_readiness, unnest(ARRAY['BTC', 'USDT']) asset
    """,
)

Call = Callable[[], Awaitable[object]]


async def books(rig: Rig) -> list[Measure]:
    """The measures of the books, on the rig's server."""
    server = rig.stack.settings.owner_dsn().replace("+asyncpg", "", 1)
    return await measured(server, MANY)


async def measured(server: str, fills: int) -> list[Measure]:
    """The measures with so many fills, against FEW, in turns; `server` is the owner's address."""
    async with AsyncExitStack() as opened:
        sides = []
        for size, name in ((FEW, "few"), (fills, "many")):
            engine = await opened.enter_async_context(_ledger(server, f"{_NAME}_{name}", size))
            sides.append(_calls(engine, size))
        few, many = sides
        taken = {}
        for name, times in CALLS.items():
            taken[name] = await _timed(few[name], many[name], times)
    return [
        Measure(
            name=f"books_{name}_p99",
            value=percentile(with_many, 99),
            unit="ms",
            baseline=percentile(with_few, 99),
        )
        for name, (with_few, with_many) in taken.items()
    ]


@asynccontextmanager
async def _ledger(server: str, name: str, fills: int) -> AsyncIterator[AsyncEngine]:
    """A migrated ledger with so many fills."""
    url = f"{server.rpartition('/')[0]}/{name}"
    await _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await _execute(server, f"CREATE DATABASE {name}")
    try:
        await asyncio.to_thread(upgrade, url)
        await _execute(url, *_statements(fills))
        await _execute(url, "VACUUM ANALYZE")
        engine = open_engine(url, pool_size=1)
        try:
            yield engine
        finally:
            await engine.dispose()
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _statements(fills: int) -> Sequence[str]:
    parents = _PARENTS.format(orders=fills // FILLS_PER_ORDER, strategies=STRATEGIES)
    # the rows are of one piece already: no trigger has to look at each of them
    quick = "SET session_replication_role = replica"
    rows = (parents, _CHILDREN, _ATTEMPTS, _FILLS, _POSITIONS, *_BESIDE)
    return (quick, *rows, _STATISTICS.STATISTICS)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _calls(engine: AsyncEngine, fills: int) -> dict[str, Call]:
    """What is measured, on one ledger."""
    draw = random.Random(SEED)
    orders, positions = LedgerViews(engine), PositionViews(engine)
    statistics, reader = StatisticsViews(engine), SyncReader(engine)

    def strategy() -> str:
        return f"s{draw.randrange(STRATEGIES)}"

    return {
        "order": lambda: orders.order(f"order-{draw.randrange(fills // FILLS_PER_ORDER)}"),
        "position": lambda: positions.positions(strategy_id=strategy()),
        "statistics": lambda: statistics.orders(strategy_id=draw.choice((None, strategy()))),
        "reconciliation": lambda: _reconciled(reader, fills),
    }


async def _reconciled(reader: SyncReader, fills: int) -> object:
    """What one look at an account asks of the ledger."""
    newest = [str(n) for n in range(max(1, fills - PAGE), fills + 1)]
    for symbol in await reader.symbols(EXCHANGE, ACCOUNT):
        await reader.look_back_place(EXCHANGE, ACCOUNT, symbol, LOOK_BACK_S)
        await reader.fills_of(EXCHANGE, ACCOUNT, symbol, LOOK_BACK_S)
        await reader.booked(EXCHANGE, ACCOUNT, symbol, newest)
    await reader.unrecorded_foreign_orders(EXCHANGE, ACCOUNT)
    await reader.balances(EXCHANGE, ACCOUNT)
    return await reader.books_now(EXCHANGE, ACCOUNT, fills - PAGE)


async def _timed(few: Call, many: Call, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of both calls in turns, after some that are not counted."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(-min(WARM_UP, times), times):
        for call, figures in zip((few, many), taken, strict=True):
            begun = time.perf_counter()
            assert await call() is not None, "the generated ledger has no such row"
            if number >= 0:
                figures.append((time.perf_counter() - begun) * 1000)
    return taken
