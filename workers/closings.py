"""What it takes to close the positions of a scope: quantities that their venues would take.

Rule: it only reads. Who sends the orders asks for them as for any other.
"""

from dataclasses import dataclass
from decimal import Decimal

from activities.ledger.results import EXTERNAL
from activities.ledger.state_store import Holding
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from workers.bootstrap import open_gateways
from workers.emergency import holdings
from workers.settings import Settings
from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.domain.scopes import Scope

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """`quantity` (base units, on the venue's grid) on `side` closes the holding but for dust.

    0 where nothing can be sent: `why` says what stands against it.
    """

    holding: Holding
    side: Side
    quantity: Decimal
    why: str = ""


async def closings(settings: Settings, scope: Scope) -> list[Closing]:
    """One for each position of the scope. Raises LedgerAwayError."""
    held = await holdings(settings, scope)
    async with open_gateways(settings) as gateways:
        return [await _closing(each, gateways.get((each.exchange, each.account))) for each in held]


async def _closing(holding: Holding, gateway: VenueGateway | None) -> Closing:
    side = Side.SELL if holding.quantity > 0 else Side.BUY
    quantity, why = _NOTHING, ""
    if holding.strategy_id == EXTERNAL:
        why = "it comes from orders that are not ours"
    elif gateway is None:
        why = "its account is not configured"
    else:
        try:
            rules = await gateway.instrument(holding.symbol)
        except (VenueUnavailableError, SymbolUnknownError) as error:
            why = str(error)
        else:
            with exact():
                size = abs(holding.quantity)
                quantity = size - size % rules.step
            if quantity < rules.min_quantity:
                quantity, why = _NOTHING, f"less than {rules.min_quantity:f} cannot be traded"
    return Closing(holding=holding, side=side, quantity=quantity, why=why)
