"""How orders went: counts, shares filled, volumes, fees, slippage and times, from kept sums.

Rule: ended orders come from the sums that each added to when it ended, open ones are counted now,
fees from the positions, so an answer costs the same whatever the ledger holds; only for some of the
accounts, which the sums do not tell apart, ended orders are read. Legs of executions are counted in
fees only. Amounts of different quote assets are never added up.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.ledger.control_models import OrderStatistic
from activities.ledger.models import ParentOrder, Position
from activities.ledger.results import EXTERNAL
from activities.ledger.store_statistics import ends
from activities.ledger.view_accounts import Accounts, seen
from workflows.domain.exact import exact, rounded
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.positions import base_and_quote

_BPS = 10_000
_SHARE_PLACES, _SECOND_PLACES, _BPS_PLACES = 6, 3, 4
_ZERO = Decimal(0)
_SUMMED = ("orders", "fill_shares", "filled_value", "slippage_value", "measured_value")
_TIMED = ("seconds_to_fill", "timed_orders")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatistics:
    """Orders of one strategy, or of all; legs of executions are no orders here.

    `volumes` (of ended orders) and `fees` (of all fills; a rebate is negative) are in quote units
    by quote asset. `slippage_bps`: what fills cost above the price at their order's acceptance
    (below it for sells), weighted by value, by quote asset; positive is worse.
    """

    strategy_id: str | None
    orders: int
    open_orders: int
    by_status: Mapping[str, int]
    by_type: Mapping[str, Mapping[str, int]]
    """Counts by status, by order type."""
    fill_ratio: Decimal | None
    """Mean share of its quantity that an ended order filled; denied orders apart."""
    volumes: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    slippage_bps: Mapping[str, Decimal]
    average_time_to_fill_s: Decimal | None
    """From acceptance to end, of filled orders."""


class StatisticsViews:
    """Reads; one answer is of one moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    async def orders(
        self,
        strategy_id: str | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        accounts: Accounts = None,
    ) -> OrderStatistics:
        """All orders that fit, in one; zeros where there is none."""
        only = {"strategy_id": strategy_id, "exchange": exchange, "symbol": symbol}
        async with self._engine.connect() as connection:
            ended, still, paid = await _read(connection, only, accounts)
        return _statistics(strategy_id, ended, still, paid)

    async def strategies(self) -> list[OrderStatistics]:
        """One answer per strategy that ever placed an order, by its name."""
        async with self._engine.connect() as connection:
            read = await _read(connection, {})
        names = sorted({row.strategy_id for rows in read[:2] for row in rows})
        return [_statistics(name, *(_of(name, rows) for rows in read)) for name in names]


_Rows = list[Row[Any]]


async def _read(
    connection: AsyncConnection, only: Mapping[str, str | None], accounts: Accounts = None
) -> tuple[_Rows, _Rows, _Rows]:
    """Ended orders, open orders and fees, grouped as the answer needs them."""
    sums: Any = OrderStatistic if accounts is None else _ended_of(accounts)
    ended = _grouped(sums, ("symbol", "order_type", "status"), [*_SUMMED, *_TIMED], only)
    still = _grouped(ParentOrder, ("order_type", "status"), [], only)
    still = still.where(ParentOrder.finished_at.is_(None), ParentOrder.execution_id.is_(None))
    still = still.where(*seen(ParentOrder.account, accounts))
    paid = _grouped(Position, ("symbol",), ["fees_quote"], only)
    paid = paid.where(Position.strategy_id != EXTERNAL, *seen(Position.account, accounts))
    rows = [list(await connection.execute(query)) for query in (ended, still, paid)]
    return rows[0], rows[1], rows[2]


def _ended_of(accounts: frozenset[str]) -> Any:
    """The ended orders of some accounts, as columns named like those of the sums."""
    ended = ends().where(ParentOrder.finished_at.is_not(None))
    return ended.where(*seen(ParentOrder.account, accounts)).subquery("ended").c


def _of(strategy_id: str, rows: _Rows) -> _Rows:
    return [row for row in rows if row.strategy_id == strategy_id]


def _grouped(
    table: Any, by: tuple[str, ...], sums: list[str], only: Mapping[str, str | None]
) -> Select[Any]:
    keys = [getattr(table, name) for name in ("strategy_id", *by)]
    totals = [func.sum(getattr(table, name)).label(name) for name in sums]
    wanted = [getattr(table, name) == value for name, value in only.items() if value is not None]
    return select(*keys, func.count().label("rows"), *totals).where(*wanted).group_by(*keys)


def _statistics(
    strategy_id: str | None, ended: _Rows, still: _Rows, paid: _Rows
) -> OrderStatistics:
    by_status: dict[str, int] = defaultdict(int)
    by_type: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row, count in [*((r, int(r.orders)) for r in ended), *((r, r.rows) for r in still)]:
        by_status[row.status] += count
        by_type[row.order_type][row.status] += count
    worked = [row for row in ended if row.status != OrderStatus.DENIED.value]
    slipped, measured = _by_quote(ended, "slippage_value"), _by_quote(ended, "measured_value")
    return OrderStatistics(
        strategy_id=strategy_id,
        orders=sum(by_status.values()),
        open_orders=sum(row.rows for row in still),
        by_status=dict(sorted(by_status.items())),
        by_type={kind: dict(sorted(counts.items())) for kind, counts in sorted(by_type.items())},
        fill_ratio=_mean(worked, "fill_shares", "orders", _SHARE_PLACES),
        volumes=_by_quote(ended, "filled_value"),
        fees=_by_quote(paid, "fees_quote"),
        slippage_bps={
            quote: rounded(
                Fraction(slipped.get(quote, _ZERO)) / Fraction(value) * _BPS, _BPS_PLACES
            )
            for quote, value in measured.items()
        },
        average_time_to_fill_s=_mean(ended, "seconds_to_fill", "timed_orders", _SECOND_PLACES),
    )


def _by_quote(rows: Iterable[Row[Any]], name: str) -> dict[str, Decimal]:
    """Sums by quote asset; a sum of nothing is left out."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with exact():
        for row in rows:
            sums[base_and_quote(row.symbol)[1]] += getattr(row, name)
    return {quote: value for quote, value in sorted(sums.items()) if value}


def _mean(rows: Iterable[Row[Any]], total: str, count: str, places: int) -> Decimal | None:
    listed = list(rows)
    number = sum(int(getattr(row, count)) for row in listed)
    with exact():
        whole = sum((getattr(row, total) for row in listed), _ZERO)
    return None if not number else rounded(Fraction(whole) / number, places)
