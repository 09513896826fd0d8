"""The exchange's durable state: accounts, orders and trades, folded from events.

Rule: `apply` is the only way to change it, live and after a restart alike. It decides nothing and
refuses nothing. Order books are derived from it. Knows nothing of matching, files or clocks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from activities.venues.simulator.accounts import Accounts
from activities.venues.simulator.events import (
    AccountOpened,
    CancelTimerSet,
    Deposited,
    Event,
    MatchPrevented,
    OrderAccepted,
    OrderListEnded,
    OrderListOpened,
    OrderTriggered,
    OrderUpdated,
    TradeDone,
    TradeIdsReserved,
    TrailingMoved,
)
from activities.venues.simulator.orders import NO_MATCH, Order, OrderList, OrderStatus
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
        self.lists: dict[int, OrderList] = {}
        self._waiting: dict[str, dict[int, Order]] = defaultdict(dict)
        self._open_lists: dict[tuple[str, str], int] = {}
        self._latest_list: dict[tuple[str, str], int] = {}
        self.cancel_timers: dict[str, int] = {}
        self.last_match_id: dict[str, int] = defaultdict(lambda: NO_MATCH)
        self._prevented: dict[int, list[MatchPrevented]] = defaultdict(list)
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
            case TrailingMoved():
                self._follow(event)
            case OrderTriggered():
                self._trigger(event)
            case OrderListOpened():
                self._open_list(event)
            case OrderListEnded():
                self._end_list(event)
            case TradeDone():
                self._trade(event)
            case MatchPrevented():
                self._prevent(event)
            case OrderUpdated():
                self._update(event)
            case CancelTimerSet():
                self.cancel_timers[event.account] = event.due_ms
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
            stop_price=event.stop_price,
            trailing_delta=event.trailing_delta,
            iceberg_quantity=event.iceberg_quantity,
            list_id=event.list_id,
            self_trade=event.self_trade,
            lock_price=event.lock_price,
            extreme=event.extreme,
            following_ms=event.ts_ms if event.extreme else None,
            working_ms=None if event.type.is_contingent else event.ts_ms,
        )
        self.accounts.lock_for(self.specs[order.symbol], order, self.partner_of(order))
        if order.is_waiting:
            self._waiting[order.symbol][order.order_id] = order
        self.orders[order.order_id] = self._open[order.order_id] = order
        self.last_order_id = max(self.last_order_id, order.order_id)
        self._open_by_client[order.account, order.client_order_id] = order.order_id
        key = (order.account, order.symbol, order.client_order_id)
        self._latest_by_client[key] = order.order_id

    def _follow(self, event: TrailingMoved) -> None:
        order = self.orders[event.order_id]
        order.extreme = event.extreme
        if order.following_ms is None:
            order.following_ms = event.ts_ms

    def _trigger(self, event: OrderTriggered) -> None:
        order = self.orders[event.order_id]
        order.working_ms = order.updated_ms = event.ts_ms
        del self._waiting[order.symbol][order.order_id]
        if order.is_at_market:
            self.accounts.release_rest_of(self.specs[order.symbol], order)

    def _open_list(self, event: OrderListOpened) -> None:
        key = (event.account, event.client_order_id)
        self.lists[event.list_id] = OrderList(
            list_id=event.list_id,
            client_order_id=event.client_order_id,
            account=event.account,
            symbol=event.symbol,
            order_ids=(event.first_order_id, event.second_order_id),
            updated_ms=event.ts_ms,
        )
        self._open_lists[key] = self._latest_list[key] = event.list_id

    def _end_list(self, event: OrderListEnded) -> None:
        ended = self.lists[event.list_id]
        ended.is_done, ended.updated_ms = True, event.ts_ms
        del self._open_lists[event.account, event.client_order_id]

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

    def _prevent(self, event: MatchPrevented) -> None:
        self.last_match_id[event.symbol] = event.match_id
        for order_id, quantity in (
            (event.taker_order_id, event.taker_prevented),
            (event.maker_order_id, event.maker_prevented),
        ):
            self._prevented[order_id].append(event)
            if quantity:
                order = self.orders[order_id]
                order.prevented, order.match_id = quantity, event.match_id

    def _update(self, event: OrderUpdated) -> None:
        order = self.orders[event.order_id]
        order.status = event.status
        order.updated_ms = event.ts_ms
        order.by_timer = event.by_timer
        if not event.status.is_open:
            partner = self.partner_of(order)
            self.accounts.release_rest_of(self.specs[order.symbol], order, partner)
            self._waiting[order.symbol].pop(order.order_id, None)
            del self._open[order.order_id]
            del self._open_by_client[order.account, order.client_order_id]

    def open_orders(self, account: str | None = None, symbol: str | None = None) -> Iterator[Order]:
        """Open orders, oldest first; of one account or symbol if named."""
        for order in self._open.values():
            if account in (None, order.account) and symbol in (None, order.symbol):
                yield order

    def waiting(self, symbol: str) -> list[Order]:
        """Orders of a symbol that wait for their trigger, oldest first."""
        return list(self._waiting[symbol].values())

    def partner_of(self, order: Order) -> Order | None:
        """The open order that `order` cancels, or is cancelled by; None if there is none."""
        found = self.lists.get(order.list_id)
        if found is None:
            return None
        other = next(each for each in found.order_ids if each != order.order_id)
        return self._open.get(other)

    def has_open_list(self, account: str, client_order_id: str) -> bool:
        """Whether an open list of the account bears this client order id."""
        return (account, client_order_id) in self._open_lists

    def find_list(
        self, account: str, list_id: int | None, client_order_id: str | None
    ) -> OrderList | None:
        """By list id if given, else the latest with this client order id; None if absent."""
        if list_id is None:
            list_id = self._latest_list.get((account, client_order_id or ""))
        found = self.lists.get(list_id) if list_id is not None else None
        return found if found is not None and found.account == account else None

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

    def prevented_of(self, order_id: int) -> list[MatchPrevented]:
        """The matches of one order with others of its account that were prevented."""
        return self._prevented[order_id]

    def bills_of(self, account: str) -> list[tuple[int, TradeDone]]:
        """The account's trades in all symbols, oldest first. Not to be changed by the caller.

        Each comes with its number among all bookings of this exchange: they only ever grow.
        """
        return self._bills[account]
