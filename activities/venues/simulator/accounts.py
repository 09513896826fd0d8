"""Balances of every account, free and locked, and what a trade does to them.

Rule: nothing is made or lost. What an account receives, another pays: a second account, the market
(whose balance may go below zero: it is the outside world) or the venue's fee account. A fee is
taken from the free balance of its asset, which is the received one by default. Knows nothing of
books, clocks or wire formats.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from activities.venues.simulator.events import TradeDone
from activities.venues.simulator.orders import MARKET_OWNER, ZERO, Order, Side
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import SymbolSpec, cut


@dataclass(slots=True)
class Balance:
    """One asset of one account."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True)
class Accounts:
    """All balances; `market` and `fees` are the two counterparties that hold no account."""

    balances: dict[str, dict[str, Balance]] = field(default_factory=dict)
    market: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    fees: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def open(self, account: str, start: Mapping[str, Decimal]) -> None:
        """Create an account with free balances."""
        self.balances[account] = {asset: Balance(free=amount) for asset, amount in start.items()}

    def of(self, account: str, asset: str) -> Balance:
        """The balance of one asset, made at zero if the account never held it."""
        return self.balances[account].setdefault(asset, Balance())

    def require_free(self, account: str, asset: str, amount: Decimal) -> None:
        """Refuse with INSUFFICIENT_BALANCE if less than `amount` is free."""
        if self.of(account, asset).free < amount:
            raise RefusedError(Reason.INSUFFICIENT_BALANCE)

    def lock_for(self, spec: SymbolSpec, order: Order, partner: Order | None = None) -> None:
        """Lock what a resting order may need. Market orders pay from the free balance.

        Two orders of which one cancels the other (`partner`) lock only what the larger one needs.
        """
        held = ZERO if partner is None else partner.locked
        order.locked = max(needed_by(order) - held, ZERO)
        balance = self.of(order.account, paid_asset_of(spec, order.side))
        assert balance.free >= order.locked, "an order was accepted without the funds for it"
        balance.free -= order.locked
        balance.locked += order.locked

    def release_rest_of(self, spec: SymbolSpec, order: Order, partner: Order | None = None) -> None:
        """Free what an order that ended had still locked, but what its open partner needs."""
        kept = ZERO
        if partner is not None:
            kept = needed_by(partner) - partner.locked
            assert 0 <= kept <= order.locked, "two orders of a list locked too little"
            partner.locked += kept
        balance = self.of(order.account, paid_asset_of(spec, order.side))
        balance.locked -= order.locked - kept
        balance.free += order.locked - kept
        order.locked = ZERO

    def settle(self, spec: SymbolSpec, order: Order, trade: TradeDone) -> None:
        """Book one side of a trade; call it before `order.executed` is raised."""
        cost = trade.price * trade.quantity
        buying = order.side is Side.BUY
        paid_asset, paid = (spec.quote, cost) if buying else (spec.base, trade.quantity)
        got_asset, got = (spec.base, trade.quantity) if buying else (spec.quote, cost)
        self._pay(order, paid_asset, paid, trade)
        self.of(order.account, got_asset).free += got
        charged = self.of(order.account, trade.fee_asset)
        charged.free -= trade.fee
        assert charged.free >= 0, "a fee overdrew a free balance"
        self.fees[trade.fee_asset] += trade.fee
        if trade.counterparty == MARKET_OWNER:
            self.market[paid_asset] += paid
            self.market[got_asset] -= got

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        """Pay in from the outside world."""
        self.of(account, asset).free += amount
        self.market[asset] -= amount

    def _pay(self, order: Order, asset: str, amount: Decimal, trade: TradeDone) -> None:
        balance = self.of(order.account, asset)
        if order.is_at_market:
            balance.free -= amount
        else:
            # A buy was locked at its limit price; a better fill frees the difference.
            locked = order.price * trade.quantity if order.side is Side.BUY else amount
            order.locked -= locked
            balance.locked -= locked
            balance.free += locked - amount
        assert balance.free >= 0, "a trade overdrew a free balance"
        assert balance.locked >= 0, "a trade overdrew a locked balance"

    def totals(self) -> dict[str, Decimal]:
        """Per asset, the sum over all accounts, the market and the fees: it never changes."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for assets in self.balances.values():
            for asset, balance in assets.items():
                sums[asset] += balance.free + balance.locked
        for house in (self.market, self.fees):
            for asset, amount in house.items():
                sums[asset] += amount
        return dict(sums)


def paid_asset_of(spec: SymbolSpec, side: Side) -> str:
    """The asset that an order of `side` pays with."""
    return spec.quote if side is Side.BUY else spec.base


def needed_by(order: Order) -> Decimal:
    """What the unexecuted rest of `order` must keep locked, in the asset that it pays with."""
    if order.is_at_market:
        return ZERO
    if order.side is Side.SELL:
        return order.remaining
    return order.remaining * (order.price or order.lock_price)


def fee_of(side: Side, price: Decimal, quantity: Decimal, rate: Decimal) -> Decimal:
    """Fee in the received asset (base for a buy, quote for a sell), cut to eight places."""
    received = quantity if side is Side.BUY else price * quantity
    return cut(received * rate)


def fee_asset_of(spec: SymbolSpec, side: Side) -> str:
    """The asset in which `side` pays its fee."""
    return spec.base if side is Side.BUY else spec.quote
