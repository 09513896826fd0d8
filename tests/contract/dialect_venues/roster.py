"""Every scripted venue by name, and what its requests carry under which name."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.contract.dialect_venues.bybit_venue import BybitVenue
from tests.contract.dialect_venues.coinbase_venue import CoinbaseVenue, ms_of
from tests.contract.dialect_venues.gate_venue import GateVenue
from tests.contract.dialect_venues.kraken_venue import KrakenVenue
from tests.contract.dialect_venues.kucoin_venue import KucoinVenue
from tests.contract.dialect_venues.okx_venue import OkxVenue
from tests.contract.dialect_venues.scripted import ScriptedVenue, Seen

WINDOW_MS = 5_000
VENUES: Mapping[str, type[ScriptedVenue]] = {
    made.venue: made
    for made in (OkxVenue, BybitVenue, KrakenVenue, CoinbaseVenue, KucoinVenue, GateVenue)
}
ID_FIELD = {
    "okx": "clOrdId",
    "bybit": "orderLinkId",
    "kraken": "cl_ord_id",
    "coinbase": "client_order_id",
    "kucoin": "clientOid",
    "gate": "text",
}
ACKNOWLEDGED_ONLY = frozenset({"okx", "bybit", "kraken", "coinbase", "kucoin"})
TAKES_MARKET_BUYS = ("okx", "bybit", "kraken", "kucoin")
WITHOUT_A_WINDOW = frozenset({"coinbase", "kucoin", "gate"})


@dataclass(frozen=True)
class Stamp:
    """When a request says that it was signed (ms, rounded down to `step_ms`), and how long it
    lives by its own word (None: it does not say)."""

    at_ms: int
    step_ms: int = 1
    life_ms: int | None = None


def stamp_of(venue: str, seen: Seen) -> Stamp:
    """Read off the wire."""
    match venue:
        case "okx":
            at_ms = ms_of(seen.headers["OK-ACCESS-TIMESTAMP"])
            return Stamp(at_ms, life_ms=int(seen.headers["expTime"]) - at_ms)
        case "bybit":
            life_ms = int(seen.headers["X-BAPI-RECV-WINDOW"])
            return Stamp(int(seen.headers["X-BAPI-TIMESTAMP"]), life_ms=life_ms)
        case "kraken":  # its nonce is no time; the deadline is the timestamp and the window
            deadline = datetime.fromisoformat(seen.body["deadline"].replace("Z", "+00:00"))
            at_ms = round(deadline.timestamp() * 1000) - WINDOW_MS
            return Stamp(at_ms, life_ms=WINDOW_MS)
        case "coinbase":
            claims = jwt_claims(seen)
            return Stamp(claims["iat"] * 1000, step_ms=1000)
        case "kucoin":
            return Stamp(int(seen.headers["KC-API-TIMESTAMP"]))
        case "gate":
            return Stamp(int(seen.headers["Timestamp"]) * 1000, step_ms=1000)
    raise ValueError(venue)


def jwt_claims(seen: Seen) -> Any:
    """The claims of a bearer token, unverified."""
    part = seen.headers["Authorization"].removeprefix("Bearer ").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
