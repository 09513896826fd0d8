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
    status: str = "NEW"
    executed: Decimal = _ZERO

    @property
    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status in _OPEN


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
    """All that one journal says. Orders by order id, in order of acceptance."""

    start_balances: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    requests: list[JudgedRequest] = field(default_factory=list)
    orders: dict[int, JudgedOrder] = field(default_factory=dict)
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
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for order in self.orders.values():
            if order.account == account and order.is_open:
                base, quote = order.symbol.split("/")
                rest = order.quantity - order.executed
                asset, amount = (quote, rest * order.price) if order.side == "BUY" else (base, rest)
                locked[asset] += amount
        return {
            asset: JudgedBalance(free=total - locked[asset], locked=locked[asset])
            for asset, total in totals.items()
        }

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
        found += [
            f"trade {key} is there {count} times" for key, count in sides.items() if count > 1
        ]
        return found


def read_log(path: Path) -> VenueLog:
    """The log of a `journal.jsonl`, also of a running exchange.

    Raises OSError if there is none, JournalError if it is damaged.
    """
    log = VenueLog()
    for record in read_records(path):
        _add(log, record)
    return log


def _add(log: VenueLog, record: Record) -> None:
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
            names = [n for n in JudgedOrder.__slots__ if n not in ("status", "executed")]
            values = _named(record, names) | _amounts(record, ("price", "quantity"))
            log.orders[record["order_id"]] = JudgedOrder(**values)
        case "order_update":
            order = log.orders[record["order_id"]]
            order.status, order.executed = record["status"], Decimal(record["executed"])
        case "trade":
            amounts = _amounts(record, ("price", "quantity", "fee"))
            log.trades.append(JudgedTrade(**_named(record, JudgedTrade.__slots__) | amounts))


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
