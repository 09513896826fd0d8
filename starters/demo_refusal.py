"""Tells a paper exchange's control port to refuse one order, as a real exchange might.

Rule: plain HTTP, and the exchange's own words. Which order is meant is known before it is sent: its
client order id is a function of the execution's id and the leg's name.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from workflows.domain.orders import client_order_id
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
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
        rule = {"fault": "refuse", "options": options}
        answer = await client.post(f"{control_url}/rules", json=rule)
        answer.raise_for_status()
    return f"{words['code']}: {words['message']}"
