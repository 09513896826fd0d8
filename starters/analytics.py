"""Transaction cost analysis of one order, as it is shown: what it cost, against which benchmarks.

Rule: facts only. Prices are what the ledger stored when it happened; the market's trades are asked
of the venue; what neither has is null, and `not_available` says why. The formulas, with their
sources, are in `workflows.domain.tca`; a positive figure is a cost.

Which prices count. The decision price is the plan's for a leg of an arbitrage and the price that
fired a trigger for a protective order, which is its arrival price too; any other order is decided
when it is accepted. The end price is the last middle that was seen by its end.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from activities.ledger.view_analytics import (
    AnalyticsViews,
    ChildFact,
    ExecutionFacts,
    FillFact,
    OrderFacts,
)
from starters.analytics_facts import (
    MARK_MAX_AGE,
    Priced,
    between_s,
    end_price_of,
    fees_of,
    mids_of,
    ms_of,
    priced_of,
    seconds_of,
    span_of,
    timing_of,
    trade_of,
    unvalued_of,
)
from starters.analytics_models import (
    ChildCosts,
    MarketBenchmarks,
    NotAvailable,
    OrderAnalytics,
    ShortfallParts,
    Slippages,
)
from starters.connections import Connections
from starters.errors import OrderNotFound, Unavailable
from starters.public_calls import read_window
from workflows.domain import tca
from workflows.domain.exact import times
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import ChildType, OrderType, Side
from workflows.ports.public_data import MarketWindow, WindowRequest

MAX_CHILDREN_SHOWN = 500
_BPS = 10_000
_AFTER = timedelta(seconds=int(tca.MARKOUT_S))
_ZERO = Decimal(0)
_NO_MIDDLE = "the ledger saw no middle near enough"
_NO_PRICE = "a fee is in an asset without a known price"
_NO_FILL = "nothing is filled"
_TOLD_LATE = "the exchange has not told of all our trades yet"


async def order_analytics(
    connections: Connections, order_id: str, *, accounts: frozenset[str] | None = None
) -> OrderAnalytics:
    """The analysis of an order or a leg; of one that runs, as it is now.

    Raises OrderNotFound, Unavailable (of the ledger; without the venue the market's part is null).
    """
    async with connections.reading(AnalyticsViews) as views:
        facts = await views.order(order_id, marks_for=_AFTER)
    if facts is None or (accounts is not None and facts.order.account not in accounts):
        raise OrderNotFound(order_id)
    since, until = span_of(facts)
    window: MarketWindow | str = "it has not begun to trade"
    if since is not None and until is not None:
        window = await _window(connections, facts.order, since, until)
    return _Analysis.of(facts, since, until, window).told()


async def _window(
    connections: Connections, order: OrderFacts, since: datetime, until: datetime
) -> MarketWindow | str:
    """What the market traded meanwhile, or why that is not known."""
    request = WindowRequest(
        venue=order.exchange,
        account=order.account,
        symbol=order.symbol,
        since_ms=ms_of(since),
        until_ms=ms_of(until) + 1,
    )
    try:
        client = (await connections.orders()).temporal
        found = await read_window(client, request, order.order_id)
    except Unavailable as error:
        return str(error)
    return found if found.source is not None else "the exchange tells no trades that far back"


def _is_told_late(window: MarketWindow, filled: Decimal) -> bool:
    """An exchange that publishes its trades late: what it tells leaves out some of ours."""
    return window.volume is not None and window.volume < filled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Analysis:
    """One order's facts in the terms of `tca`."""

    facts: ExecutionFacts
    side: Side
    fills: list[tca.Trade]
    mids: list[tca.Mid]
    priced: Priced | None
    end: Decimal | None
    fees: Decimal | None
    since: datetime | None
    until: datetime | None
    window: MarketWindow | str

    @classmethod
    def of(
        cls,
        facts: ExecutionFacts,
        since: datetime | None,
        until: datetime | None,
        window: MarketWindow | str,
    ) -> "_Analysis":
        """The analysis of these facts."""
        order = facts.order
        return cls(
            facts=facts,
            side=Side(order.side),
            fills=[trade_of(each) for each in facts.fills],
            mids=mids_of(facts),
            priced=priced_of(order),
            end=end_price_of(facts),
            fees=fees_of(facts.fills, order.symbol),
            since=since,
            until=until,
            window=window,
        )

    def told(self) -> OrderAnalytics:
        """The whole answer."""
        order, priced = self.facts.order, self.priced
        filled, notional = tca.executed(self.fills), tca.notional(self.fills)
        market = self._market(filled)
        shortfall = self._shortfall()
        spread, markout = self._spread(), self._markout()
        average = tca.vwap(self.fills)
        fees_share = None if self.fees is None else tca.share(self.fees, notional)
        return OrderAnalytics(
            order_id=order.order_id,
            execution_id=order.execution_id,
            strategy_id=order.strategy_id,
            account=order.account,
            exchange=order.exchange,
            symbol=order.symbol,
            side=self.side,
            order_type=OrderType(order.order_type),
            status=OrderStatus(order.status),
            quantity=order.quantity,
            filled_quantity=filled,
            fill_ratio=tca.share(filled, order.quantity) or _ZERO,
            fills=len(self.fills),
            average_price=average,
            notional=notional,
            decision_price=priced.decision if priced else None,
            decision_source=priced.source if priced else None,
            arrival_price=priced.arrival if priced else None,
            end_price=self.end,
            shortfall=shortfall,
            slippage_bps=self._slippages(average, market),
            market=market,
            fees_quote=self.fees,
            fees_bps=None if fees_share is None else times(fees_share, _BPS),
            fees_unvalued=unvalued_of(self.facts.fills, order.symbol),
            maker_ratio=tca.maker_ratio(self.fills),
            effective_spread_bps=spread,
            markout_60s_bps=markout,
            timing=timing_of(self.facts),
            children=self._children(),
            children_total=len(self.facts.children),
            not_available=self._gaps(shortfall, market, spread, markout),
        )

    def _shortfall(self) -> ShortfallParts | None:
        if self.priced is None or self.fees is None:
            return None
        prices = tca.Prices(
            decision=self.priced.decision, arrival=self.priced.arrival, end=self.end
        )
        ordered = self.facts.order.quantity
        found = tca.shortfall(self.side, ordered, self.fills, prices, self.fees)
        return ShortfallParts.model_validate(found)

    def _slippages(self, average: Decimal | None, market: MarketBenchmarks) -> Slippages:
        priced = self.priced
        return Slippages(
            arrival=tca.slippage_bps(self.side, average, priced.arrival if priced else None),
            decision=tca.slippage_bps(self.side, average, priced.decision if priced else None),
            market_vwap=tca.slippage_bps(self.side, average, market.vwap),
            market_twap=tca.slippage_bps(self.side, average, market.twap),
        )

    def _market(self, filled: Decimal) -> MarketBenchmarks:
        window = self.window if isinstance(self.window, MarketWindow) else MarketWindow(source=None)
        twap = None
        if self.since is not None and self.until is not None and self._sees(self.until):
            twap = tca.market_twap(self.mids, seconds_of(self.since), seconds_of(self.until))
        is_whole = not _is_told_late(window, filled)
        volume = window.volume if is_whole else None
        return MarketBenchmarks(
            since=self.since,
            until=self.until,
            vwap=window.vwap if is_whole else None,
            twap=twap,
            volume=volume,
            participation=None if volume is None else tca.share(filled, volume),
            source=window.source,
            middles=len(self.facts.marks),
        )

    def _market_gap(self) -> str | None:
        """Why the market's trades are not known, or not all of them."""
        if not isinstance(self.window, MarketWindow):
            return self.window
        if _is_told_late(self.window, tca.executed(self.fills)):
            return _TOLD_LATE
        return None if self.window.vwap is not None else "nobody traded"

    def _spread(self) -> Decimal | None:
        if not all(self._sees(each.traded_at) for each in self.facts.fills):
            return None
        return tca.effective_spread_bps(self.side, self.fills, self.mids)

    def _markout(self) -> Decimal | None:
        """Only when the minute is over, and a middle after the fill was seen."""
        for fill in self.facts.fills:
            then = fill.traded_at + _AFTER
            is_seen = any(fill.traded_at < each.marked_at <= then for each in self.facts.marks)
            if then > self.facts.read_at or not is_seen:
                return None
        return tca.markout_bps(self.side, self.fills, self.mids)

    def _sees(self, at: datetime) -> bool:
        """A middle that is not too old was known then."""
        since = seconds_of(at) - Decimal(int(MARK_MAX_AGE.total_seconds()))
        return any(since <= each.at_s <= seconds_of(at) for each in self.mids)

    def _children(self) -> list[ChildCosts]:
        of_child: dict[str, list[FillFact]] = defaultdict(list)
        for fill in self.facts.fills:
            of_child[fill.client_order_id].append(fill)
        shown = self.facts.children[-MAX_CHILDREN_SHOWN:]
        return [self._child(each, of_child[each.client_order_id]) for each in shown]

    def _child(self, child: ChildFact, facts: Sequence[FillFact]) -> ChildCosts:
        fills = [trade_of(each) for each in facts]
        average = tca.vwap(fills)
        first = facts[0].traded_at if facts else None
        return ChildCosts(
            index=child.child_index,
            client_order_id=child.client_order_id,
            child_type=ChildType(child.child_type),
            status=ChildStatus(child.status),
            quantity=child.quantity,
            price=child.price,
            filled_quantity=tca.executed(fills),
            average_price=average,
            arrival_slippage_bps=tca.slippage_bps(
                self.side, average, self.priced.arrival if self.priced else None
            ),
            fees_quote=fees_of(facts, self.facts.order.symbol),
            maker_ratio=tca.maker_ratio(fills),
            fills=len(fills),
            sent_at=child.sent_at,
            first_fill_at=first,
            last_fill_at=facts[-1].traded_at if facts else None,
            sent_to_first_fill_s=between_s(child.sent_at, first),
        )

    def _gaps(
        self,
        shortfall: ShortfallParts | None,
        market: MarketBenchmarks,
        spread: Decimal | None,
        markout: Decimal | None,
    ) -> list[NotAvailable]:
        """Each figure that is null, and why."""
        why: dict[str, str] = {}
        if self.priced is None:
            why["arrival_price"] = "it was not accepted"
        if self.fees is None:
            why["fees_quote"] = _NO_PRICE
        if shortfall is None:
            why["shortfall"] = why.get("arrival_price") or _NO_PRICE
        elif shortfall.total is None:
            why["shortfall.total"] = _NO_MIDDLE
        of_market = self._market_gap()
        if of_market is not None:
            figures = ("volume", "vwap", "participation")
            why |= {
                f"market.{figure}": of_market
                for figure in figures
                if getattr(market, figure) is None
            }
        if market.twap is None:
            why["market.twap"] = _NO_MIDDLE
        if spread is None:
            why["effective_spread_bps"] = _NO_MIDDLE if self.fills else _NO_FILL
        if markout is None:
            why["markout_60s_bps"] = _NO_MIDDLE if self.fills else _NO_FILL
        return [NotAvailable(figure=figure, why=reason) for figure, reason in why.items()]
