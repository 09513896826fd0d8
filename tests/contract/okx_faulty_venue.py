"""A paper exchange that speaks OKX, with the real ccxt class and its faults, for contract tests."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt.pro

from activities.venues.rewriting_session import RewritingSession
from activities.venues.simulator.faults.client import ControlClient
from activities.venues.simulator.server import PaperAccount, PaperExchangeConfig, running
from tests.contract.faulty_venue import CLIENT_TIMEOUT_MS, FaultyVenue
from tests.contract.paper_venue import KEY, OTHER_KEY, OTHER_SECRET, SECRET, Venue

PASSPHRASE = "test-passphrase"
_OPTIONS = {
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "createOrder": "privatePostTradeOrder",
    "tgtCcy": "base_ccy",
}


def okx_config(folder: Path, **changes: Any) -> PaperExchangeConfig:
    """Two accounts, a market that stands still, and a control port."""
    accounts = {
        name: PaperAccount(api_key=key, secret=secret, passphrase=PASSPHRASE)
        for name, key, secret in (("main", KEY, SECRET), ("other", OTHER_KEY, OTHER_SECRET))
    }
    fields: dict[str, Any] = {
        "name": "okx",
        "dialect": "okx",
        "data_dir": folder,
        "accounts": accounts,
        "live_market": False,
        "control_port": 0,
    }
    return PaperExchangeConfig(**(fields | changes))


@contextlib.asynccontextmanager
async def okx_faulty_venue(folder: Path, **changes: Any) -> AsyncIterator[FaultyVenue]:
    """Serve it in this event loop; all is closed at the end."""
    async with running(okx_config(folder, **changes)) as served:
        assert served.control_url is not None
        session = RewritingSession({"www.okx.com": served.base_url})
        keys = {"apiKey": KEY, "secret": SECRET, "password": PASSPHRASE}
        client = ccxt.pro.okx(
            {**keys, "session": session, "enableRateLimit": False, "options": dict(_OPTIONS)}
        )
        client.timeout_on_exit = 0  # ms; see paper_venue
        client.number = str
        client.has["fetchCurrencies"] = False
        try:
            async with ControlClient(served.control_url) as faults:
                await client.load_markets()
                client.timeout = CLIENT_TIMEOUT_MS
                yield FaultyVenue(Venue(served, client), faults)
        finally:
            await client.close()
            await session.close()
