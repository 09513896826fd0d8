"""OKX's signed endpoints that show an account: balances, own trades, fees and its settings.

Rule: reads only; every call sees one account.
"""

import itertools

from activities.venues.simulator.okx import order_shapes, shapes
from activities.venues.simulator.okx.market_data import Instruments
from activities.venues.simulator.okx.params import Params
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.runtime import PaperExchange

RECENT_FILLS_MS = 3 * 24 * 60 * 60 * 1_000
"""How far back /trade/fills reaches."""
_CURRENCIES = "[A-Z0-9]{1,20}(,[A-Z0-9]{1,20}){0,19}"


class Account:
    """The endpoints of accounts of one exchange."""

    def __init__(self, exchange: PaperExchange, instruments: Instruments) -> None:
        self._exchange, self._instruments = exchange, instruments
        self._engine = exchange.engine

    def balance(self, account: str, params: Params) -> list[Json]:
        """GET /account/balance: what is not zero."""
        wanted = params.matching("ccy", _CURRENCIES)
        params.finish()
        now_ms = self._exchange.now_ms()
        balances = self._engine.state.accounts.balances[account]
        only = wanted.split(",") if wanted else list(balances)
        rows = [row for row in shapes.balance_rows(balances, now_ms) if row["ccy"] in only]
        return [shapes.balance(rows, now_ms)]

    def fee_rates(self, account: str, params: Params) -> list[Json]:
        """GET /account/trade-fee: all accounts pay alike."""
        del account
        params.product(required=True)
        self._instruments.maybe(params)
        params.finish()
        return [shapes.fee_rates(self._engine.fees, self._exchange.now_ms())]

    def config(self, account: str, params: Params) -> list[Json]:
        """GET /account/config."""
        params.finish()
        return [shapes.account_config(account)]

    def fills(self, account: str, params: Params) -> list[Json]:
        """GET /trade/fills: own trades of the last three days, newest first."""
        params.product()
        return self._fills(account, params, self._exchange.now_ms() - RECENT_FILLS_MS)

    def fills_history(self, account: str, params: Params) -> list[Json]:
        """GET /trade/fills-history: own trades, newest first."""
        params.product(required=True)
        return self._fills(account, params, 0)

    def _fills(self, account: str, params: Params, not_before_ms: int) -> list[Json]:
        """A page by `billId`; `begin` and `end` are within."""
        spec, order_id = self._instruments.maybe(params), params.integer("ordId")
        begin, end = params.integer("begin") or 0, params.integer("end")
        after, before = params.integer("after"), params.integer("before")
        limit = params.limit()
        params.finish()
        chosen = (
            (bill, trade)
            for bill, trade in reversed(self._engine.state.bills_of(account))
            if (spec is None or trade.symbol == spec.name)
            and order_id in (None, trade.order_id)
            and max(begin, not_before_ms) <= trade.ts_ms
            and (end is None or trade.ts_ms <= end)
            and (after is None or bill < after)
            and (before is None or bill > before)
        )
        page = itertools.islice(chosen, limit)
        return [
            order_shapes.fill(self._instruments.of(trade.symbol), bill, trade)
            for bill, trade in page
        ]
