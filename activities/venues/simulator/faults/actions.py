"""What the control port makes the market, an account's owner or the venue itself do at once.

Rule: each action is one function from options to what it tells back; what is refused has changed
nothing. `MarketActions.restore` takes back what would last.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from activities.venues.simulator.conditions import ThirdAssetFee
from activities.venues.simulator.faults.options import Options
from activities.venues.simulator.orders import ZERO, NewOrder, Order, OrderType, Side, TimeInForce
from activities.venues.simulator.refusals import RefusedError
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import AMOUNT_STEP, SymbolSpec

_ASSET = re.compile("[A-Z0-9]{1,20}")
_FARTHEST_CLOCK_MS = 100 * 365 * 24 * 3600 * 1_000

Told = dict[str, Any]
Action = Callable[[Options], Told]


class MarketActions:
    """All actions on one exchange but those on its streams."""

    def __init__(self, exchange: PaperExchange, name_by_hand: str) -> None:
        """`name_by_hand`: how the names begin that the venue gives to orders made by hand."""
        self._exchange, self._engine = exchange, exchange.engine
        self._name_by_hand = name_by_hand
        self._usual_rules = dict(exchange.engine.state.specs)
        self.table: Mapping[str, Action] = {
            "fill": self.fill,
            "flow": self.flow,
            "trade": self.trade,
            "freeze_market": self.freeze_market,
            "thaw_market": self.thaw_market,
            "halt_symbol": self.halt_symbol,
            "resume_symbol": self.resume_symbol,
            "change_rules": self.change_rules,
            "fee_asset": self.fee_asset,
            "clock": self.clock,
            "place": self.place,
            "cancel": self.cancel,
            "deposit": self.deposit,
        }

    def restore(self) -> None:
        """Everything trades and moves again, by the usual rules, fees and clock."""
        self._exchange.market.frozen.clear()
        self._engine.halted.clear()
        self._engine.conditions.fee_in = None
        self._engine.state.specs.update(self._usual_rules)
        self._exchange.clock_offset_ms = 0

    def fill(self, options: Options) -> Told:
        """The market trades with a resting order, whatever stands before it in the book."""
        order = self._order(options)
        quantity = options.amount("quantity") or order.remaining
        options.finish()
        self._carried_out(
            options,
            lambda now_ms: self._engine.fill_resting(order, quantity, now_ms),
        )
        return _told(order)

    def flow(self, options: Options) -> Told:
        """An immediate order of the market; without a price at any."""
        symbol, side = self._symbol(options).name, _side(options)
        quantity, price = options.required_amount("quantity"), options.amount("price")
        options.finish()
        if symbol in self._engine.halted:
            raise options.error(f"{symbol} is halted")
        now_ms = self._exchange.now_ms()
        traded = self._engine.flow(symbol, side, quantity, price, now_ms)
        self._exchange.commit()
        return {"traded": str(traded)}

    def trade(self, options: Options) -> Told:
        """One public trade at exactly this price, with the market's quotes one tick beside it.

        What rests in between trades first. In a market that is not frozen it lasts for one step.
        """
        spec, price = self._symbol(options), options.required_amount("price")
        quantity = options.amount("quantity") or spec.least_quantity
        options.finish()
        if spec.name in self._engine.halted:
            raise options.error(f"{spec.name} is halted")
        if price % spec.tick or price > spec.max_price or quantity % spec.lot:
            raise options.error(f"{spec.name} has ticks of {spec.tick} and lots of {spec.lot}")
        now_ms = self._exchange.now_ms()
        trade_id = self._exchange.market.trade(self._engine, spec.name, price, quantity, now_ms)
        self._exchange.commit()
        return {"trade_id": trade_id}

    def freeze_market(self, options: Options) -> Told:
        """The market of a symbol moves no more by itself; eaten quotes do not come back."""
        spec = self._symbol(options)
        options.finish()
        self._exchange.market.frozen.add(spec.name)
        return {}

    def thaw_market(self, options: Options) -> Told:
        """The market of a symbol moves by itself again, from where it would be by now."""
        spec = self._symbol(options)
        options.finish()
        self._exchange.market.frozen.discard(spec.name)
        return {}

    def halt_symbol(self, options: Options) -> Told:
        """Nothing can be placed or traded in a symbol; cancels work."""
        spec = self._symbol(options)
        options.finish()
        self._engine.halted.add(spec.name)
        return {}

    def resume_symbol(self, options: Options) -> Told:
        """A symbol trades again."""
        spec = self._symbol(options)
        options.finish()
        self._engine.halted.discard(spec.name)
        return {}

    def change_rules(self, options: Options) -> Told:
        """Other trading rules from now on; orders that rest stay as they are."""
        spec = self._symbol(options)
        names = ("tick", "lot", "min_notional", "min_quantity")
        changes = {name: options.amount(name) for name in names}
        options.finish()
        given: dict[str, Any] = {name: value for name, value in changes.items() if value}
        if not given:
            raise options.error(f"needs one of {', '.join(names)}")
        try:
            changed = replace(spec, **given)
        except ValueError as error:
            raise options.error(str(error)) from None
        # What rests, and the market's own liquidity, trades on by the rules it was made under.
        if spec.tick * changed.lot % AMOUNT_STEP or changed.tick * spec.lot % AMOUNT_STEP:
            raise options.error(f"old tick x new lot must be a multiple of {AMOUNT_STEP}")
        self._engine.state.specs[spec.name] = changed
        return {}

    def fee_asset(self, options: Options) -> Told:
        """Fees in a third asset; without an asset, in the received one again."""
        asset, rate = options.text("asset"), options.amount("rate") or Decimal("0.001")
        options.finish()
        if rate >= 1:
            raise options.error("rate must be below 1")
        fee_in = None if asset is None else ThirdAssetFee(asset=asset, rate=rate)
        self._engine.conditions.fee_in = fee_in
        return {}

    def clock(self, options: Options) -> Told:
        """The venue's clock, ahead of this machine's by so many milliseconds."""
        far = _FARTHEST_CLOCK_MS
        offset_ms = options.number("offset_ms", 0, low=-far, high=far)
        options.finish()
        self._exchange.clock_offset_ms = offset_ms
        return {}

    def place(self, options: Options) -> Told:
        """An order by hand; with a price a limit order, else a market order.

        Without a client order id it bears what the venue names an order of its own pages.
        """
        account, spec = self._account(options), self._symbol(options)
        price = options.amount("price")
        tif = options.one_of("tif", list(TimeInForce), TimeInForce.GTC.value)
        wanted = NewOrder(
            client_order_id=options.text("client_order_id")
            or self._name_by_hand + secrets.token_hex(11),
            symbol=spec.name,
            side=_side(options),
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
            tif=TimeInForce(tif),
            price=price or ZERO,
            quantity=options.required_amount("quantity"),
        )
        options.finish()
        placed: list[Order] = []
        self._carried_out(
            options,
            lambda now_ms: placed.append(self._engine.place(account, wanted, now_ms)[0]),
        )
        return _told(placed[0])

    def cancel(self, options: Options) -> Told:
        """A cancel by hand."""
        order = self._order(options)
        options.finish()
        self._carried_out(options, lambda now_ms: self._engine.cancel(order, now_ms))
        return _told(order)

    def deposit(self, options: Options) -> Told:
        """Money comes from outside, or goes there if the amount is negative: nobody trades."""
        account, asset = self._account(options), options.required("asset")
        amount = options.required_change("amount")
        options.finish()
        if not _ASSET.fullmatch(asset) or amount % AMOUNT_STEP:
            raise options.error(f"needs an asset as BTC, and a multiple of {AMOUNT_STEP} of it")
        self._carried_out(
            options, lambda now_ms: self._engine.deposit(account, asset, amount, now_ms)
        )
        held = self._engine.state.accounts.of(account, asset)
        return {"free": str(held.free), "locked": str(held.locked)}

    def _carried_out(self, options: Options, command: Callable[[int], None]) -> None:
        try:
            command(self._exchange.now_ms())
        except RefusedError as refused:
            raise options.error(f"refused: {refused.reason}") from None
        self._exchange.commit()

    def _symbol(self, options: Options) -> SymbolSpec:
        name = options.required("symbol")
        spec = self._engine.state.specs.get(name)
        if spec is None:
            raise options.error(f"there is no symbol {name} (as BTC/USDT)")
        return spec

    def _account(self, options: Options) -> str:
        name = options.required("account")
        if name not in self._engine.state.accounts.balances:
            raise options.error(f"there is no account {name}")
        return name

    def _order(self, options: Options) -> Order:
        """The open order that `order_id` or `client_order_id` names; the newest of several."""
        order_id = options.whole("order_id", None, low=1, high=10**18)
        client_id, account = options.text("client_order_id"), options.text("account")
        if (order_id is None) is (client_id is None):
            raise options.error("needs order_id or client_order_id")
        for order in reversed(self._engine.state.orders.values()):
            if account not in (None, order.account):
                continue
            if order_id == order.order_id or client_id == order.client_order_id:
                if not order.status.is_open:
                    raise options.error(f"the order is {order.status}")
                return order
        raise options.error("there is no such order")


def _side(options: Options) -> Side:
    name = options.required("side").upper()
    if name not in list(Side):
        raise options.error("side must be buy or sell")
    return Side(name)


def _told(order: Order) -> Told:
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "status": order.status.value,
        "executed": str(order.executed),
    }
