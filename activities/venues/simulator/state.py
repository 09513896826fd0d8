"""The exchange's durable state: accounts, orders and trades, folded from events.

Rule: `apply` is the only way to change it, live and after a restart alike. It decides nothing and
refuses nothing. Order books are derived from it. Knows nothing of matching, files or clocks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from activities.venues.simulator.accounts import Accounts
from activities.venues.simulator.events import (
    AccountOpened,
    Deposited,
    Event,
    OrderAccepted,
    OrderUpdated,
    TradeDone,
    TradeIdsReserved,
)
from activities.venues.simulator.orders import Order, OrderStatus
from activities.venues.simulator.specs import SymbolSpec


class ExchangeState:
    """Everything that must survive a crash."""

    def __init__(self, specs: Mapping[str, SymbolSpec]) -> None:
        self.specs = dict(specs)
        self.accounts = Accounts()
        self.orders: dict[int, Order] = {}
        self.last_order_id = 0
        self.last_trade_id: dict[str, int] = defaultdict(int)
        self.trade_ids_reserved: dict[str, int] = defaultdict(int)
        self._open: dict[int, Order] = {}
        self._open_by_client: dict[tuple[str, str], int] = {}
        self._latest_by_client: dict[tuple[str, str, str], int] = {}
        self._trades: dict[tuple[str, str], list[TradeDone]] = defaultdict(list)
        self._trades_by_order: dict[int, list[TradeDone]] = defaultdict(list)
        self._bills: dict[str, list[tuple[int, TradeDone]]] = defaultdict(list)
        self._last_bill = 0

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises KeyError if it names an order or symbol never heard of."""
        match event:
            case AccountOpened():
                self.accounts.open(event.account, event.balances)
            case Deposited():
                self.accounts.deposit(event.account, event.asset, event.amount)
            case OrderAccepted():
                self._accept(event)
            case TradeDone():
                self._trade(event)
            case OrderUpdated():
                self._update(event)
            case TradeIdsReserved():
                self.trade_ids_reserved[event.symbol] = event.up_to

    def _accept(self, event: OrderAccepted) -> None:
        order = Order(
            order_id=event.order_id,
            client_order_id=event.client_order_id,
            account=event.account,
            symbol=event.symbol,
            side=event.side,
            type=event.type,
            tif=event.tif,
            price=event.price,
            quantity=event.quantity,
            quote_quantity=event.quote_quantity,
            created_ms=event.ts_ms,
            updated_ms=event.ts_ms,
        )
        self.accounts.lock_for(self.specs[order.symbol], order)
        self.orders[order.order_id] = self._open[order.order_id] = order
        self.last_order_id = max(self.last_order_id, order.order_id)
        self._open_by_client[order.account, order.client_order_id] = order.order_id
        key = (order.account, order.symbol, order.client_order_id)
        self._latest_by_client[key] = order.order_id

    def _trade(self, event: TradeDone) -> None:
        order = self.orders[event.order_id]
        self.accounts.settle(self.specs[order.symbol], order, event)
        order.executed = event.executed
        order.quote_executed = event.quote_executed
        order.status = OrderStatus.PARTIALLY_FILLED
        order.updated_ms = event.ts_ms
        known = self.last_trade_id[event.symbol]
        self.last_trade_id[event.symbol] = max(known, event.trade_id)
        self._trades[event.account, event.symbol].append(event)
        self._trades_by_order[event.order_id].append(event)
        self._last_bill += 1
        self._bills[event.account].append((self._last_bill, event))

    def _update(self, event: OrderUpdated) -> None:
        order = self.orders[event.order_id]
        order.status = event.status
        order.updated_ms = event.ts_ms
        if not event.status.is_open:
            self.accounts.release_rest_of(self.specs[order.symbol], order)
            del self._open[order.order_id]
            del self._open_by_client[order.account, order.client_order_id]

    def open_orders(self, account: str | None = None, symbol: str | None = None) -> Iterator[Order]:
        """Open orders, oldest first; of one account or symbol if named."""
        for order in self._open.values():
            if account in (None, order.account) and symbol in (None, order.symbol):
                yield order

    def has_open(self, account: str, client_order_id: str) -> bool:
        """Whether an open order of the account bears this client order id."""
        return (account, client_order_id) in self._open_by_client

    def find(
        self, account: str, symbol: str, order_id: int | None, client_order_id: str | None
    ) -> Order | None:
        """By order id if given, else the latest with this client order id; None if absent."""
        if order_id is None:
            order_id = self._latest_by_client.get((account, symbol, client_order_id or ""))
        order = self.orders.get(order_id) if order_id is not None else None
        if order is None or (order.account, order.symbol) != (account, symbol):
            return None
        return None if client_order_id not in (None, order.client_order_id) else order

    def trades_of(self, account: str, symbol: str) -> list[TradeDone]:
        """The account's trades in one symbol, oldest first. Not to be changed by the caller."""
        return self._trades[account, symbol]

    def trades_of_order(self, order_id: int) -> list[TradeDone]:
        """The trades of one order, oldest first. Not to be changed by the caller."""
        return self._trades_by_order[order_id]

    def bills_of(self, account: str) -> list[tuple[int, TradeDone]]:
        """The account's trades in all symbols, oldest first. Not to be changed by the caller.

        Each comes with its number among all bookings of this exchange: they only ever grow.
        """
        return self._bills[account]
