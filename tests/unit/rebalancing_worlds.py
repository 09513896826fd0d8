"""Small portfolios for the tests of rebalancing, and what trading in them comes to.

The trades are carried out here in plain arithmetic of its own, so that a test compares the plan
with something that the plan did not make.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from workflows.domain.denials import Denied
from workflows.domain.instruments import Instrument
from workflows.domain.orders import Side
from workflows.domain.rebalancing import Aims, Holding, Rebalancing, plan_rebalancing
from workflows.domain.rebalancing_venues import (
    Place,
    Split,
    VenueTrade,
    cash_after,
    split_buys,
    split_sells,
)

CASH = "USDT"


def place(venue: str, asset: str, bid: Decimal, ask: Decimal, **rules: object) -> Place:
    """One asset at one venue, its rules as the test wants them."""
    instrument = Instrument(
        venue=venue,
        symbol=f"{asset}/{CASH}",
        base=asset,
        quote=CASH,
        tick=Decimal(str(rules.get("tick", "0.00000001"))),
        step=Decimal(str(rules.get("step", "0.00001"))),
        min_quantity=Decimal(str(rules.get("min_quantity", "0"))),
        max_quantity=None if rules.get("max") is None else Decimal(str(rules["max"])),
        min_notional=Decimal(str(rules.get("min_notional", "10"))),
        is_trading=True,
    )
    return Place(
        asset=asset,
        instrument=instrument,
        bid=bid,
        ask=ask,
        fee=Decimal(str(rules.get("fee", "0.001"))),
        buys_pay_base=bool(rules.get("buys_pay_base", False)),
        free=Decimal(str(rules.get("free", "0"))),
        slippage=Decimal(str(rules.get("slippage", "0"))),
        max_value=None if rules.get("max_value") is None else Decimal(str(rules["max_value"])),
    )


@dataclass
class World:
    """What is held at each venue, and where each asset trades at which price."""

    cash: dict[str, Decimal]
    places: dict[str, list[Place]]
    prices: dict[str, Decimal]
    held: dict[str, Decimal] = field(default_factory=dict)
    """Assets that are held and not traded anywhere here."""

    def holdings(self) -> dict[str, Holding]:
        made = {
            asset: Holding(
                amount=sum((each.free for each in here), Decimal(0)),
                price=self.prices[asset],
                fee=max(each.fee for each in here),
                step=min(each.instrument.step for each in here),
            )
            for asset, here in self.places.items()
        }
        for asset, amount in self.held.items():
            made[asset] = Holding(
                amount=amount, price=self.prices.get(asset), fee=Decimal(0), step=Decimal(1)
            )
        return made

    def plan(self, aims: Aims) -> Rebalancing | Denied:
        return plan_rebalancing(aims, self.holdings(), sum(self.cash.values(), Decimal(0)))

    def planned(self, aims: Aims) -> Rebalancing:
        plan = self.plan(aims)
        assert isinstance(plan, Rebalancing), plan
        return plan

    def split(
        self, aims: Aims, plan: Rebalancing, reserve: Decimal = Decimal(0)
    ) -> tuple[Split, Split]:
        sells = split_sells(plan.sells, self.places, {})
        cash = cash_after(self.cash, sells.trades)
        buys = split_buys(
            plan.buys, self.places, cash, reserve=reserve, min_trade_value=aims.min_trade_value
        )
        return sells, buys

    def value(self) -> Decimal:
        held = sum(
            (
                each.free * self.prices[asset]
                for asset, here in self.places.items()
                for each in here
            ),
            Decimal(0),
        )
        return held + sum(self.cash.values(), Decimal(0))

    def carry_out(self, trades: Iterable[VenueTrade]) -> "World":
        """The world after these trades filled at the touch, fees paid."""
        cash = dict(self.cash)
        free = {
            (each.venue, asset): each.free for asset, here in self.places.items() for each in here
        }
        for trade in trades:
            spot = trade.place
            value, key = trade.quantity * trade.price, (trade.venue, trade.asset)
            if trade.side is Side.SELL:
                free[key] -= trade.quantity
                cash[trade.venue] = cash.get(trade.venue, Decimal(0)) + value * (1 - spot.fee)
            elif spot.buys_pay_base:
                free[key] += trade.quantity * (1 - spot.fee)
                cash[trade.venue] -= value
            else:
                free[key] += trade.quantity
                cash[trade.venue] -= value * (1 + spot.fee)
        return World(cash=cash, places=_with_free(self.places, free), prices=self.prices)


def _with_free(
    places: Mapping[str, list[Place]], free: Mapping[tuple[str, str], Decimal]
) -> dict[str, list[Place]]:
    return {
        asset: [replace(each, free=free[each.venue, asset]) for each in here]
        for asset, here in places.items()
    }
