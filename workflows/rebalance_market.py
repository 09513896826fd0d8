"""Portfolios as venues tell them, made into what a rebalancing plans with. Pure functions.

An asset has one price: the mean of the middles of all venues that quote it. It can be traded
where its market is open and its rules and fees are known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from workflows import ports
from workflows.domain.exact import exact, rounded
from workflows.domain.instruments import Quote
from workflows.domain.rebalancing import Aims, Holding
from workflows.domain.rebalancing_venues import Place
from workflows.execution_messages import RebalancePlan, Scope, TradeTo

MAX_PRICE_SKEW_MS = 15_000
"""A quote that was read so much earlier than the latest one is no price."""
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All venues at one moment. `cash` is what is free there, by venue.

    `stranded` is what is held, by asset, where it cannot be traded.
    """

    holdings: dict[str, Holding]
    places: dict[str, tuple[Place, ...]]
    cash: dict[str, Decimal]
    total_cash: Decimal
    stranded: dict[str, Decimal]


def aims_of(plan: RebalancePlan) -> Aims:
    """The plan's wishes as the domain knows them."""
    return Aims(
        targets={asset: weight for asset, weight in plan.targets.items() if asset != plan.cash},
        cash=plan.cash,
        band_abs=plan.band_abs,
        band_rel=plan.band_rel,
        to_edge=plan.to is TradeTo.EDGE,
        all_if_any=plan.scope is Scope.ALL_IF_ANY,
        min_trade_value=plan.min_trade_value,
    )


def portfolio_request(plan: RebalancePlan, venue: str) -> ports.PortfolioRequest:
    """What is to be read at one venue."""
    targets = {asset for asset in plan.targets if asset != plan.cash}
    only: set[str] = set() if plan.assets is None else {plan.cash, *plan.assets, *targets}
    return ports.PortfolioRequest(
        venue=venue,
        account=plan.account,
        cash=plan.cash,
        assets=tuple(sorted(targets)),
        only=tuple(sorted(only)),
    )


def picture_of(
    plan: RebalancePlan,
    portfolios: tuple[ports.Portfolio, ...],
    max_order_value: Decimal | None = None,
) -> Picture:
    """The portfolios as one. `max_order_value` is what one order may be worth; None: any value."""
    latest = _latest(portfolios)
    assets = sorted(
        {
            asset
            for portfolio in portfolios
            for asset in (*portfolio.total, *portfolio.markets)
            if asset != plan.cash
        }
    )
    places = {
        asset: tuple(
            replace(place, max_value=max_order_value)
            for place in _places(plan, portfolios, asset, latest)
        )
        for asset in assets
    }
    with exact():
        return Picture(
            holdings={
                asset: _holding(portfolios, asset, places[asset], latest) for asset in assets
            },
            places=places,
            cash={each.venue: each.free.get(plan.cash, _NOTHING) for each in portfolios},
            total_cash=sum((_held(each, plan.cash) for each in portfolios), _NOTHING),
            stranded={asset: _stranded(portfolios, asset, places[asset]) for asset in assets},
        )


def _latest(portfolios: tuple[ports.Portfolio, ...]) -> int:
    return max(
        (
            market.quote.read_at_ms
            for portfolio in portfolios
            for market in portfolio.markets.values()
            if market.quote is not None
        ),
        default=0,
    )


def _held(portfolio: ports.Portfolio, asset: str) -> Decimal:
    return portfolio.total.get(asset, _NOTHING)


def _usable(market: ports.AssetMarket | None, latest: int) -> Quote | None:
    """The touch, when its market has usable rules and it is a price of now."""
    if market is None or market.quote is None or market.instrument is None:
        return None
    quote = market.quote
    is_fresh = latest - quote.read_at_ms <= MAX_PRICE_SKEW_MS
    is_sane = 0 < quote.bid <= quote.ask and market.instrument.has_valid_rules
    return quote if is_fresh and is_sane else None


def _places(
    plan: RebalancePlan, portfolios: tuple[ports.Portfolio, ...], asset: str, latest: int
) -> tuple[Place, ...]:
    found = []
    for portfolio in portfolios:
        market = portfolio.markets.get(asset)
        quote = _usable(market, latest)
        if market is None or quote is None or market.instrument is None or market.fees is None:
            continue
        if market.instrument.is_trading:
            place = Place(
                asset=asset,
                instrument=market.instrument,
                bid=quote.bid,
                ask=quote.ask,
                fee=market.fees.taker,
                buys_pay_base=market.fees.buys_pay_base,
                free=portfolio.free.get(asset, _NOTHING),
                slippage=plan.slippage_tolerance,
            )
            found.append(place)
    return tuple(found)


def _holding(
    portfolios: tuple[ports.Portfolio, ...], asset: str, places: tuple[Place, ...], latest: int
) -> Holding:
    quotes = [_usable(each.markets.get(asset), latest) for each in portfolios]
    middles = [Fraction(quote.mid) for quote in quotes if quote is not None]
    return Holding(
        amount=sum((_held(each, asset) for each in portfolios), _NOTHING),
        price=rounded(sum(middles, Fraction()) / len(middles)) if middles else None,
        fee=max((place.fee for place in places), default=_NOTHING),
        step=min((place.instrument.step for place in places), default=Decimal(1)),
    )


def _stranded(
    portfolios: tuple[ports.Portfolio, ...], asset: str, places: tuple[Place, ...]
) -> Decimal:
    open_at = [place.venue for place in places]
    return sum((_held(each, asset) for each in portfolios if each.venue not in open_at), _NOTHING)


def settled_cash(
    before: Mapping[str, Decimal], proceeds: Mapping[str, Decimal], told: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Cash that may be spent after the sells, by venue: what both the fills and the venue say.

    The smaller of the two: a balance may show a sale early or late, and nothing is bought against
    cash that is not there yet.
    """
    with exact():
        by_fills = {
            venue: before.get(venue, _NOTHING) + proceeds.get(venue, _NOTHING) for venue in told
        }
    return {venue: min(by_fills[venue], told[venue]) for venue in told}
