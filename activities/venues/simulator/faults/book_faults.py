"""Faults of what the exchange knows when: reads that lag behind, and fills that win a race.

Rule: the book and the journal stay right; only what one request sees of them, or the moment in
which the market acts, is changed.
"""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from activities.venues.simulator.faults.dialect import Purpose, Trouble
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.faults.request_faults import RequestFault, Setting
from activities.venues.simulator.faults.rules import Facts
from activities.venues.simulator.orders import Order
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext

_LONGEST_LAG_S = 600


class NotFound(RequestFault):
    """An order is absent to look-ups until some time after its acceptance."""

    default_times = 0

    def __init__(self, setting: Setting, for_s: float) -> None:
        self._setting, self._for_ms = setting, for_s * 1_000

    def applies(self, facts: Facts, /) -> bool:
        if facts.purpose is not Purpose.LOOK_UP or facts.order is None:
            return False
        return self._setting.exchange.now_ms() - facts.order.created_ms < self._for_ms

    async def before(self, request: RequestContext, _facts: Facts, /) -> Answer | None:
        dialect = self._setting.dialect
        return dialect.refused(dialect.errors[Trouble.NO_SUCH_ORDER], request)


class StaleBalances(RequestFault):
    """Balances stay as they were when the rule was made, for some time."""

    default_times = 0

    def __init__(self, setting: Setting, for_s: float) -> None:
        self._dialect = setting.dialect
        self._until_s = time.monotonic() + for_s
        self._then = copy.deepcopy(setting.exchange.engine.state.accounts.balances)

    def applies(self, facts: Facts, /) -> bool:
        return facts.purpose is Purpose.BALANCES and time.monotonic() < self._until_s

    async def after(self, request: RequestContext, answer: Answer, /) -> Answer:
        if answer.code or request.account is None:
            return answer
        then = self._then.get(request.account, {})
        return replace(answer, body=self._dialect.with_balances(answer.body, then))


class WrongPage(RequestFault):
    """A page of own trades with some left out or some twice; only where there are some."""

    def __init__(self, setting: Setting, change: Callable[[list[Any]], list[Any]]) -> None:
        self._setting, self._change = setting, change

    def applies(self, facts: Facts, /) -> bool:
        if facts.purpose is not Purpose.OWN_TRADES or not facts.account or not facts.symbol:
            return False
        if facts.order is not None:
            return facts.order.executed > 0
        return bool(self._setting.exchange.engine.state.trades_of(facts.account, facts.symbol))

    async def after(self, _request: RequestContext, answer: Answer, /) -> Answer:
        dialect = self._setting.dialect
        rows = dialect.own_trades(answer.body)
        if rows is None:
            return answer
        return replace(answer, body=dialect.with_own_trades(answer.body, self._change(rows)))


class FillFirst(RequestFault):
    """The market fills an order, wholly or partly, just before its cancel acts."""

    def __init__(self, exchange: PaperExchange, quantity: Decimal | None) -> None:
        self._exchange, self._quantity = exchange, quantity

    def applies(self, facts: Facts, /) -> bool:
        if facts.purpose is not Purpose.CANCEL or facts.order is None:
            return False
        return self._can_trade(facts.order)

    @staticmethod
    def _can_trade(order: Order) -> bool:
        return order.status.is_open and not order.is_waiting

    async def before(self, _request: RequestContext, facts: Facts, /) -> Answer | None:
        order, exchange = facts.order, self._exchange
        # It may have ended since it was matched.
        if order is not None and self._can_trade(order):
            wanted = self._quantity or order.remaining
            exchange.engine.fill_resting(order, min(wanted, order.remaining), exchange.now_ms())
            exchange.commit()
        return None


def _not_found(options: Options, setting: Setting) -> RequestFault:
    return NotFound(setting, options.seconds("for_s", high=_LONGEST_LAG_S))


def _stale_balances(options: Options, setting: Setting) -> RequestFault:
    return StaleBalances(setting, options.seconds("for_s", high=_LONGEST_LAG_S))


def _page_gap(options: Options, setting: Setting) -> RequestFault:
    skip = options.number("skip", 1, low=1, high=1_000)

    def leave_out(rows: list[Any]) -> list[Any]:
        # The newest stays where there are more: what is missing must not look like the end.
        newest = rows[-1:] if len(rows) > 1 else []
        return rows[: max(0, len(rows) - len(newest) - skip)] + newest

    return WrongPage(setting, leave_out)


def _page_overlap(options: Options, setting: Setting) -> RequestFault:
    again = options.number("repeat", 1, low=1, high=1_000)
    return WrongPage(setting, lambda rows: rows[:again] + rows)


def _fill_first(options: Options, setting: Setting) -> RequestFault:
    return FillFirst(setting.exchange, options.amount("quantity"))


BOOK_FAULTS: Mapping[str, Callable[[Options, Setting], RequestFault]] = {
    "not_found": _not_found,
    "stale_balances": _stale_balances,
    "page_gap": _page_gap,
    "page_overlap": _page_overlap,
    "fill_first": _fill_first,
}
