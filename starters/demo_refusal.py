"""Tells a paper exchange's control port what a real exchange and its users do by themselves.

An order is refused, or somebody trades on our account by hand. Rule: plain HTTP, and the exchange's
own words. Which order is refused is known before it is sent: its client order id is a function of
the execution's id and the leg's name.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

from workers.settings import DEFAULT_ACCOUNT
from workflows.domain.orders import Side, client_order_id
from workflows.names import leg_order_id

_TIMEOUT_S = 2.0
_NO_FUNDS: Mapping[str, Mapping[str, Any]] = {
    "binance": {"code": -2010, "message": "Account has insufficient balance for requested action."},
    "okx": {"code": 51008, "message": "Order failed. Insufficient balance."},
}
"""How each exchange says that an account cannot pay: sending the leg again there is pointless."""


async def refuse_leg(control_url: str, exchange: str, execution_id: str, leg: str) -> str:
    """Refuse this leg for want of funds when it comes; what the exchange will say.

    Raises httpx.HTTPError when the control port does not answer, or not with a yes.
    """
    child = client_order_id(leg_order_id(execution_id, leg), 0)
    words = _NO_FUNDS[exchange]
    options = {"purpose": "submit", "client_order_id": child, **words}
    await _tell(control_url, "rules", {"fault": "refuse", "options": options})
    return f"{words['code']}: {words['message']}"


async def buy_by_hand(control_url: str, symbol: str, quantity: Decimal) -> None:
    """Buy so many base units at the market, as somebody does on the exchange's own pages.

    Raises httpx.HTTPError as `refuse_leg`.
    """
    options = {
        "account": DEFAULT_ACCOUNT,
        "symbol": symbol,
        "side": Side.BUY.value,
        "quantity": f"{quantity:f}",
    }
    await _tell(control_url, "act", {"action": "place", "options": options})


async def _tell(control_url: str, path: str, body: Mapping[str, Any]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
        answer = await client.post(f"{control_url}/{path}", json=body)
        answer.raise_for_status()
