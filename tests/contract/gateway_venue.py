"""A venue under the contract tests: two accounts' gateways and the judge, the journal.

Another implementation joins the contract by opening its venue here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from activities.venues.ccxt_gateway import VenueConfig, open_gateway
from activities.venues.dialects import dialect_of
from activities.venues.gateway import VenueGateway
from activities.venues.simulator.config import PaperAccount, PaperExchangeConfig
from activities.venues.simulator.server import RunningExchange, running
from workers.paper_dialects import PAPER_DIALECTS
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, VenueStatus

VENUES = ("binance", "binanceus", "okx")
SYMBOL = "BTC/USDT"


@dataclass
class Venue:
    """A gateway, a second account's gateway at the same venue, and the venue's journal."""

    gateway: VenueGateway
    other: VenueGateway
    exchange: RunningExchange
    journal: Path
    made: int = 0

    def intent(self, **changes: Any) -> ChildIntent:
        """A limit buy far below the market unless changed, under an id of its own."""
        self.made += 1
        fields: dict[str, Any] = {
            "client_order_id": client_order_id("contract", self.made),
            "order_id": "contract",
            "child_index": self.made,
            "strategy_id": "s",
            "account": "main",
            "venue": self.gateway.venue,
            "symbol": SYMBOL,
            "side": Side.BUY,
            "child_type": ChildType.LIMIT,
            "quantity": Decimal("0.0100"),
            "price": Decimal("40000.0"),
        }
        return ChildIntent(**{**fields, **changes})

    def market(self, **changes: Any) -> ChildIntent:
        """A market buy unless changed."""
        return self.intent(child_type=ChildType.MARKET, price=None, **changes)

    async def submit(self, intent: ChildIntent) -> ExecutionReport:
        """Submit, signed with the venue's time now; what a mere acknowledgement leaves out is
        looked up."""
        report = await self.gateway.submit(intent, signed_at_ms=await self.gateway.venue_time_ms())
        if dialect_of(self.gateway.venue).ack_fields:
            return await self.gateway.find(SYMBOL, intent.client_order_id, since_ms=0)
        return report

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The journal's records of one kind."""
        lines = map(json.loads, self.journal.read_text().splitlines())
        return [record for record in lines if record["kind"] == kind]

    def posts(self) -> list[dict[str, Any]]:
        """Every order request that reached the venue."""
        requests = self.records("request")
        return [r for r in requests if r["method"] == "POST" and r["path"].endswith("/order")]


def access(name: str, account: str, base_url: str, secret: str | None = None) -> VenueConfig:
    """How `account` reaches the paper exchange."""
    return VenueConfig(
        venue=name,
        account=account,
        api_key=f"key-{account}",
        secret=secret or f"secret-{account}",
        passphrase=f"words-of-{account}",
        paper_url=base_url,
    )


def paper_config(name: str, folder: Path, control_port: int | None = None) -> PaperExchangeConfig:
    """A paper exchange with two accounts and a market that stands still."""
    accounts = {
        account: PaperAccount(
            api_key=f"key-{account}",
            secret=f"secret-{account}",
            passphrase=f"words-of-{account}",
        )
        for account in ("main", "other")
    }
    return PaperExchangeConfig(
        name=name,
        dialect=PAPER_DIALECTS[name].name,
        data_dir=folder,
        accounts=accounts,
        live_market=False,
        control_port=control_port,
    )


@asynccontextmanager
async def venue_at(
    name: str, folder: Path, control_port: int | None = None
) -> AsyncIterator[Venue]:
    """A running paper exchange with a gateway for each account; a control port if one is named."""
    async with running(paper_config(name, folder, control_port)) as exchange:
        main = open_gateway(access(name, "main", exchange.base_url))
        other = open_gateway(access(name, "other", exchange.base_url))
        yield Venue(main, other, exchange, folder / "journal.jsonl")
        await main.close()
        await other.close()


async def trade_at(venue: Venue, price: Decimal, quantity: Decimal) -> None:
    """The other account sells into a resting buy of ours."""
    intent = venue.intent(side=Side.SELL, price=price, quantity=quantity, account="other")
    await venue.other.submit(intent, signed_at_ms=await venue.other.venue_time_ms())


async def resting_inside_the_spread(venue: Venue, quantity: Decimal) -> tuple[ChildIntent, str]:
    """A buy of ours at the best bid's price plus a tick, first in the queue."""
    quote = await venue.gateway.quote(SYMBOL)
    rules = await venue.gateway.instrument(SYMBOL)
    intent = venue.intent(price=quote.bid + rules.tick, quantity=quantity)
    report = await venue.submit(intent)
    assert report.status is VenueStatus.OPEN
    return intent, report.venue_order_id
