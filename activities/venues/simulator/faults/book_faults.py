"""Faults of what the exchange knows when: reads that lag behind, and fills that win a race.

Rule: the book and the journal stay right; only what one request sees of them, or the moment in
which the market acts, is changed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from activities.venues.simulator.binance import errors, shapes
from activities.venues.simulator.binance.rest import refusal
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.faults.request_faults import RequestFault
from activities.venues.simulator.faults.rules import Facts
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

_LONGEST_LAG_S = 600


class NotFound(RequestFault):
    """An order is absent to look-ups until some time after its acceptance."""

    default_times = 0

    def __init__(self, exchange: PaperExchange, for_s: float) -> None:
        self._exchange, self._for_ms = exchange, for_s * 1_000

    def applies(self, facts: Facts, /) -> bool:
        if facts.method != "GET" or not facts.path.endswith("/order") or facts.order is None:
            return False
        return self._exchange.now_ms() - facts.order.created_ms < self._for_ms

    async def before(self, _request: RequestContext, _facts: Facts, /) -> Answer | None:
        return refusal(errors.no_such_order())


class StaleBalances(RequestFault):
    """Balances stay as they were when the rule was made, for some time."""

    default_times = 0

    def __init__(self, exchange: PaperExchange, for_s: float) -> None:
        self._until_s = time.monotonic() + for_s
        self._then = {
            name: shapes.balance_rows(balances)
            for name, balances in exchange.engine.state.accounts.balances.items()
        }

    def applies(self, facts: Facts, /) -> bool:
        return facts.path.endswith("/account") and time.monotonic() < self._until_s

    async def after(self, request: RequestContext, answer: Answer, /) -> Answer:
        if not isinstance(answer.body, dict) or answer.status != 200:
            return answer
        then = self._then.get(request.account or "", [])
        return replace(answer, body={**answer.body, "balances": then})


class WrongPage(RequestFault):
    """A page of own trades with some left out or some twice; only where there are some."""

    def __init__(self, exchange: PaperExchange, change: Callable[[list[Any]], list[Any]]) -> None:
        self._exchange, self._change = exchange, change

    def applies(self, facts: Facts, /) -> bool:
        if not facts.path.endswith("/myTrades") or not facts.account or not facts.symbol:
            return False
        if facts.order is not None:
            return facts.order.executed > 0
        return bool(self._exchange.engine.state.trades_of(facts.account, facts.symbol))

    async def after(self, _request: RequestContext, answer: Answer, /) -> Answer:
        if not isinstance(answer.body, list):
            return answer
        return replace(answer, body=self._change(answer.body))


class FillFirst(RequestFault):
    """The market fills an order, wholly or partly, just before its cancel acts."""

    def __init__(self, exchange: PaperExchange, quantity: Decimal | None) -> None:
        self._exchange, self._quantity = exchange, quantity

    def applies(self, facts: Facts, /) -> bool:
        return facts.method == "DELETE" and facts.order is not None and facts.order.status.is_open

    async def before(self, _request: RequestContext, facts: Facts, /) -> Answer | None:
        order, exchange = facts.order, self._exchange
        if order is not None and order.status.is_open:  # it may have ended since it was matched
            wanted = self._quantity or order.remaining
            exchange.engine.fill_resting(order, min(wanted, order.remaining), exchange.now_ms())
            exchange.commit()
        return None


def _not_found(options: Options, exchange: PaperExchange) -> RequestFault:
    return NotFound(exchange, options.seconds("for_s", high=_LONGEST_LAG_S))


def _stale_balances(options: Options, exchange: PaperExchange) -> RequestFault:
    return StaleBalances(exchange, options.seconds("for_s", high=_LONGEST_LAG_S))


def _page_gap(options: Options, exchange: PaperExchange) -> RequestFault:
    skip = options.number("skip", 1, low=1, high=1_000)

    def leave_out(rows: list[Any]) -> list[Any]:
        # The newest stays where there are more: what is missing must not look like the end.
        newest = rows[-1:] if len(rows) > 1 else []
        return rows[: max(0, len(rows) - len(newest) - skip)] + newest

    return WrongPage(exchange, leave_out)


def _page_overlap(options: Options, exchange: PaperExchange) -> RequestFault:
    again = options.number("repeat", 1, low=1, high=1_000)
    return WrongPage(exchange, lambda rows: rows[:again] + rows)


def _fill_first(options: Options, exchange: PaperExchange) -> RequestFault:
    return FillFirst(exchange, options.amount("quantity"))


BOOK_FAULTS: Mapping[str, Callable[[Options, PaperExchange], RequestFault]] = {
    "not_found": _not_found,
    "stale_balances": _stale_balances,
    "page_gap": _page_gap,
    "page_overlap": _page_overlap,
    "fill_first": _fill_first,
}
