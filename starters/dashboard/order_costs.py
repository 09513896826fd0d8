"""What an order cost, on its page: the figures of the transaction cost analysis.

Rule: as the analysis tells them; a positive figure is a cost, and one that cannot be measured says
why. It asks the venue, so it is read seldom, and not before there is a fill.
"""

import time
from decimal import Decimal

from starters.analytics import order_analytics
from starters.analytics_models import OrderAnalytics
from starters.dashboard import words
from starters.dashboard.board import Board
from starters.dashboard.parts import Facts, Text
from workflows.messages import OrderSnapshot

AGAIN_S = 15.0
"""A running order's costs are asked again after this."""
_FRESH_S = 10.0
_TERMS = (
    "Shortfall",
    "Against arrival",
    "Against market VWAP",
    "Effective spread",
    "Fees",
    "Made, not taken",
    "Share of the market",
    "Time to first fill",
    "Price 60 s later",
)
_BPS = "bps"


class Costs:
    """The figures; `order` is told by the page at each of its reads."""

    def __init__(self, board: Board, order: OrderSnapshot, accounts: frozenset[str] | None) -> None:
        self._board, self._order, self._accounts = board, order, accounts
        self._read_at: float | None = None
        self._ended_when_read = False
        self._waiting = Text("p", "No fill yet, so nothing to measure.", "muted")
        self._facts = Facts(_TERMS)
        self._why = Text("p", "", "muted small")
        self._facts.element.set_visibility(False)

    def tell(self, order: OrderSnapshot) -> None:
        """The order as it is now."""
        self._order = order

    async def read(self) -> None:
        """Ask again, if that may tell something new."""
        order = self._order
        if not order.filled_quantity or not self._is_due():
            return
        self._read_at, self._ended_when_read = time.monotonic(), order.status.is_terminal
        found = await self._board.answers.get(
            ("costs", order.order_id, self._accounts),
            lambda: order_analytics(
                self._board.connections, order.order_id, accounts=self._accounts
            ),
            _FRESH_S,
        )
        self._waiting.set_visibility(False)
        self._facts.element.set_visibility(True)
        self._facts.show(_figures(found))
        missing = [f"{each.figure}: {each.why}" for each in found.not_available]
        self._why.show(f"Not measured: {'; '.join(missing)}." if missing else "")

    def _is_due(self) -> bool:
        """Once more after the end, which comes with the last figures."""
        if self._read_at is None:
            return True
        if self._ended_when_read:
            return False
        return self._order.status.is_terminal or time.monotonic() - self._read_at > AGAIN_S


def _figures(found: OrderAnalytics) -> dict[str, str]:
    quote = words.split_symbol(found.symbol)[1]
    shortfall, market = found.shortfall, found.market
    total = shortfall.total if shortfall else None
    return {
        "Shortfall": f"{words.signed(total, 2)} {quote}" if total is not None else words.NONE,
        "Against arrival": _bps(found.slippage_bps.arrival),
        "Against market VWAP": _bps(found.slippage_bps.market_vwap),
        "Effective spread": _bps(found.effective_spread_bps),
        "Fees": _bps(found.fees_bps),
        "Made, not taken": _share(found.maker_ratio),
        "Share of the market": _share(market.participation),
        "Time to first fill": words.span(found.timing.to_first_fill_s),
        "Price 60 s later": _bps(found.markout_60s_bps),
    }


def _bps(value: Decimal | None) -> str:
    return words.NONE if value is None else f"{words.signed(value, 2)} {_BPS}"


def _share(value: Decimal | None) -> str:
    return words.NONE if value is None else f"{words.amount(value * 100, 1)} %"
