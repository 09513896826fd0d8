"""Reads a paper exchange's journal as the judge: what was really ordered and traded there.

Rule: independent of the exchange. It works out every figure from the records alone, with none of
the exchange's own code for orders and balances, so that the two can be compared. Reads live ones.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from activities.venues.simulator.journal import read_records
from activities.venues.simulator.records import Record

_ZERO = Decimal(0)
NO_LIST = -1
_CONTINGENT = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRequest:
    """A request and how it was answered; `code` is the venue's error code, 0 for success."""

    ts_ms: int
    method: str
    path: str
    account: str | None
    params: Mapping[str, str]
    status: int
    code: int
    faults: tuple[str, ...] = ()
    """What disturbed it, by name; status 0 is a request that was lost before it was answered."""


@dataclass(slots=True, kw_only=True)
class JudgedOrder:
    """An order that reached the book; `executed` and `status` are the venue's last word."""

    ts_ms: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    type: str
    tif: str
    price: Decimal
    quantity: Decimal
    stop_price: Decimal = _ZERO
    trailing_delta: int = 0
    iceberg_quantity: Decimal = _ZERO
    lock_price: Decimal = _ZERO
    list_id: int = NO_LIST
    """The list of which it is a part, -1 without one: of its two orders at most one trades."""
    status: str = "NEW"
    executed: Decimal = _ZERO
    triggered_by: Decimal | None = None
    """The price of the trade that triggered it; None if it waits, or never had to."""
    began: int = 0
    ended: int | None = None
    """Numbers of the records with which it came and ended: a clock can be set, the log cannot."""

    @property
    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status in _OPEN

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its trigger."""
        return self.is_open and self.type in _CONTINGENT and self.triggered_by is None

    @property
    def locks(self) -> Decimal:
        """What its rest keeps locked, in the asset that it pays with."""
        rest = self.quantity - self.executed
        return rest * (self.price or self.lock_price) if self.side == "BUY" else rest


@dataclass(slots=True, kw_only=True)
class JudgedList:
    """Two orders of which one cancels the other; done when both have ended."""

    ts_ms: int
    list_id: int
    client_order_id: str
    account: str
    symbol: str
    first_order_id: int
    second_order_id: int
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTrade:
    """One account's side of a trade. Price in quote per base, quantity in base."""

    ts_ms: int
    trade_id: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBalance:
    """One asset of one account."""

    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@dataclass(slots=True)
class VenueLog:
    """All that one journal says. Orders and lists by their ids, in order of acceptance."""

    start_balances: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    requests: list[JudgedRequest] = field(default_factory=list)
    orders: dict[int, JudgedOrder] = field(default_factory=dict)
    lists: dict[int, JudgedList] = field(default_factory=dict)
    trades: list[JudgedTrade] = field(default_factory=list)
    deposits: dict[str, dict[str, Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Decimal))
    )
    """Paid in from outside since the account was opened, by account and asset."""

    def order_counts(self, account: str | None = None) -> Counter[str]:
        """Orders per client order id, of one account or all."""
        wanted = (o for o in self.orders.values() if account in (None, o.account))
        return Counter(order.client_order_id for order in wanted)

    def duplicates(self, account: str | None = None) -> dict[str, int]:
        """Client order ids that more than one order bears, with the number of those orders."""
        counts = self.order_counts(account)
        return {client_id: count for client_id, count in counts.items() if count > 1}

    def orders_named(self, client_order_id: str) -> list[JudgedOrder]:
        """All orders with this client order id."""
        return [o for o in self.orders.values() if o.client_order_id == client_order_id]

    def lists_named(self, client_order_id: str) -> list[JudgedList]:
        """All order lists with this client order id."""
        return [each for each in self.lists.values() if each.client_order_id == client_order_id]

    def orders_of_list(self, list_id: int) -> list[JudgedOrder]:
        """The orders of a list."""
        return [order for order in self.orders.values() if order.list_id == list_id]

    def trades_named(self, client_order_id: str) -> list[JudgedTrade]:
        """All trades of orders with this client order id."""
        return [trade for trade in self.trades if trade.client_order_id == client_order_id]

    def executed(self, order_id: int) -> Decimal:
        """Base quantity of an order's trades added up."""
        return sum((t.quantity for t in self.trades if t.order_id == order_id), _ZERO)

    def final_balances(self, account: str) -> dict[str, JudgedBalance]:
        """Balances now: the start, deposits and trades; open orders lock their part of it."""
        totals: dict[str, Decimal] = defaultdict(Decimal, self.start_balances[account])
        for asset, amount in self.deposits[account].items():
            totals[asset] += amount
        for trade in self.trades:
            if trade.account == account:
                _book(totals, trade)
        locked = self._locked(account)
        return {
            asset: JudgedBalance(free=total - locked[asset], locked=locked[asset])
            for asset, total in totals.items()
        }

    def _locked(self, account: str) -> dict[str, Decimal]:
        """By asset; the two orders of a list lock what the larger one needs."""
        groups: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
        assets: dict[tuple[int, int], str] = {}
        for order in self.orders.values():
            if order.account == account and order.is_open:
                base, quote = order.symbol.split("/")
                alone = order.list_id == NO_LIST
                group = (order.list_id, order.order_id if alone else 0)
                assets[group] = quote if order.side == "BUY" else base
                groups[group] = max(groups[group], order.locks)
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for group, amount in groups.items():
            locked[assets[group]] += amount
        return locked

    def contradictions(self) -> list[str]:
        """Sentences on what cannot be true in an honest log; empty if there is nothing."""
        found = []
        summed: dict[int, Decimal] = defaultdict(Decimal)
        sides: Counter[tuple[str, int, int]] = Counter()
        for trade in self.trades:
            summed[trade.order_id] += trade.quantity
            sides[trade.symbol, trade.trade_id, trade.order_id] += 1
        for order in self.orders.values():
            done = summed[order.order_id]
            if done != order.executed:
                found.append(f"order {order.order_id}: trades {done}, executed {order.executed}")
            if done > order.quantity:
                found.append(f"order {order.order_id}: executed {done} of {order.quantity}")
            if done and order.type in _CONTINGENT and order.triggered_by is None:
                found.append(f"order {order.order_id}: executed {done} before its trigger")
        found += self._list_contradictions()
        found += [
            f"trade {key} is there {count} times" for key, count in sides.items() if count > 1
        ]
        return found

    def _list_contradictions(self) -> list[str]:
        found = []
        for each in self.lists.values():
            orders = self.orders_of_list(each.list_id)
            named = f"order list {each.list_id}"
            if {order.order_id for order in orders} != {each.first_order_id, each.second_order_id}:
                found.append(f"{named}: its orders are {[order.order_id for order in orders]}")
            if sum(1 for order in orders if order.executed) > 1:
                found.append(f"{named}: both its orders traded")
            if each.is_done and any(order.is_open for order in orders):
                found.append(f"{named}: done with an order open")
        return found


def read_log(path: Path) -> VenueLog:
    """The log of a `journal.jsonl`, also of a running exchange.

    Raises OSError if there is none, JournalError if it is damaged.
    """
    log = VenueLog()
    for number, record in enumerate(read_records(path)):
        add_record(log, number, record)
    return log


def add_record(log: VenueLog, number: int, record: Record) -> None:
    """Take the journal's next record into its log; `number` is how many came before it."""
    match record["kind"]:
        case "account":
            start = {asset: Decimal(amount) for asset, amount in record["balances"].items()}
            log.start_balances[record["account"]] = start
        case "request":
            faults = {"faults": tuple(record.get("faults", ()))}
            names = [name for name in JudgedRequest.__slots__ if name != "faults"]
            log.requests.append(JudgedRequest(**_named(record, names) | faults))
        case "deposit":
            deposits = log.deposits[record["account"]]
            deposits[record["asset"]] += Decimal(record["amount"])
        case "order":
            log.orders[record["order_id"]] = _order(record)
            log.orders[record["order_id"]].began = number
        case "triggered":
            log.orders[record["order_id"]].triggered_by = Decimal(record["price"])
        case "order_list":
            names = [name for name in JudgedList.__slots__ if name != "is_done"]
            log.lists[record["list_id"]] = JudgedList(**_named(record, names))
        case "order_list_end":
            log.lists[record["list_id"]].is_done = True
        case "order_update":
            order = log.orders[record["order_id"]]
            order.status, order.executed = record["status"], Decimal(record["executed"])
            if not order.is_open and order.ended is None:
                order.ended = number
        case "trade":
            amounts = _amounts(record, ("price", "quantity", "fee"))
            log.trades.append(JudgedTrade(**_named(record, JudgedTrade.__slots__) | amounts))


def _order(record: Record) -> JudgedOrder:
    later = ("status", "executed", "triggered_by", "began", "ended")
    amounts = ("price", "quantity", "stop_price", "iceberg_quantity", "lock_price")
    told = [name for name in JudgedOrder.__slots__ if name not in later and name in record]
    given = tuple(name for name in amounts if name in record)
    return JudgedOrder(**_named(record, told) | _amounts(record, given))


def _named(record: Record, names: tuple[str, ...] | list[str]) -> Record:
    return {name: record[name] for name in names}


def _amounts(record: Record, names: tuple[str, ...]) -> dict[str, Decimal]:
    return {name: Decimal(record[name]) for name in names}


def _book(totals: dict[str, Decimal], trade: JudgedTrade) -> None:
    base, quote = trade.symbol.split("/")
    sign = 1 if trade.side == "BUY" else -1
    totals[base] += sign * trade.quantity
    totals[quote] -= sign * trade.price * trade.quantity
    totals[trade.fee_asset] -= trade.fee
