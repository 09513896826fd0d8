"""What a batch of events and trades says, order by order.

Theory. One fill arrives twice, as an order's event and as a trade, and a sweep of the book brings
many fills of one order at once. Booked one by one, each would be a transaction and a signal of its
own. Reports are totals and fills have ids, so all that a batch says of one order is one report.
Pure: it must not know the ledger, the venue or Temporal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from activities.venues.gateway import StreamEvent, StreamTrade, VenueTrade
from workflows.domain.exact import exact
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import ExecutionReport, Fill, VenueStatus

TradeKey = tuple[str, str, Side]
"""Symbol, trade id and side: what makes a fill unique within an account."""

OrderKey = tuple[str, str]
"""Symbol and the venue's order id."""


def key_of(trade: VenueTrade) -> TradeKey:
    """The trade's key."""
    return trade.symbol, trade.fill.trade_id, trade.side


@dataclass(slots=True, kw_only=True)
class OrderNews:
    """What is new of one order of the account, ours or not.

    `report` is the venue's word on the order itself, present only if it bears an id of ours.
    """

    symbol: str
    venue_order_id: str
    report: ExecutionReport | None = None
    trades: list[VenueTrade] = field(default_factory=list)

    @property
    def key(self) -> OrderKey:
        """The order's key."""
        return self.symbol, self.venue_order_id

    @property
    def is_mere_acknowledgement(self) -> bool:
        """Nothing has happened but that the venue took the order."""
        report = self.report
        if self.trades or report is None:
            return False
        return report.status is VenueStatus.OPEN and not report.executed_quantity

    def report_for(self, intent: ChildIntent) -> ExecutionReport:
        """All of it as one report of the order that `intent` is.

        Trades alone prove their fills, and that the order was live when they happened.
        """
        fills = _joined((), tuple(trade.fill for trade in self.trades))
        known = self.report
        if known is None:
            with exact():
                executed = sum((fill.quantity for fill in fills), Decimal(0))
            return ExecutionReport(
                client_order_id=intent.client_order_id,
                venue_order_id=self.venue_order_id,
                status=VenueStatus.OPEN,
                executed_quantity=executed,
                fills=fills,
                venue_time_ms=max(fill.traded_at_ms for fill in fills),
            )
        return replace(known, fills=_joined(known.fills, fills))


def by_order(events: Iterable[StreamEvent]) -> list[OrderNews]:
    """The news of each order, in the order in which the orders first appear."""
    found: dict[OrderKey, OrderNews] = {}
    for event in events:
        if isinstance(event, StreamTrade):
            news = _of(found, event.trade.symbol, event.trade.venue_order_id)
            if event.trade not in news.trades:
                news.trades.append(event.trade)
        elif event.order.report.client_order_id is not None:
            report = event.order.report
            news = _of(found, event.order.symbol, report.venue_order_id)
            news.report = report if news.report is None else _later(news.report, report)
    return list(found.values())


def _of(found: dict[OrderKey, OrderNews], symbol: str, venue_order_id: str) -> OrderNews:
    new = OrderNews(symbol=symbol, venue_order_id=venue_order_id)
    return found.setdefault(new.key, new)


def _later(one: ExecutionReport, other: ExecutionReport) -> ExecutionReport:
    """What both say: a terminal status stays, totals never shrink, whichever came first."""
    return replace(
        other,
        status=one.status if one.status.is_terminal else other.status,
        executed_quantity=max(one.executed_quantity, other.executed_quantity),
        fills=_joined(one.fills, other.fills),
        venue_time_ms=max(one.venue_time_ms, other.venue_time_ms),
    )


def _joined(some: tuple[Fill, ...], more: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """Each fill once. Two with one trade id and other figures both stay: the ledger alarms."""
    return tuple(dict.fromkeys((*some, *more)))
