"""Public facts of a venue, asked through a worker: no other process reaches an exchange.

Each workflow asks one question and answers it; a venue that is away fails it in time.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.domain.denials import DenialCode
from workflows.ports.public_data import (
    MarketWindow,
    SymbolsRequest,
    VenueSymbols,
    WindowRequest,
    list_symbols,
    read_window,
)

PUBLIC_WITHIN = timedelta(seconds=8)


@workflow.defn(name="ReadSymbols")
class ReadSymbols:
    """Which symbols a venue lists, and by which rules."""

    @workflow.run
    async def run(self, request: SymbolsRequest | None = None) -> VenueSymbols:
        """Fails when the venue does not answer within PUBLIC_WITHIN."""
        if not isinstance(request, SymbolsRequest):  # None, or whatever else came raw
            raise _missing("venue and account")
        return await list_symbols(request, within=PUBLIC_WITHIN)


@workflow.defn(name="ReadWindow")
class ReadWindow:
    """What the market of a symbol traded in a span of time."""

    @workflow.run
    async def run(self, request: WindowRequest | None = None) -> MarketWindow:
        """Fails when the venue does not answer within PUBLIC_WITHIN."""
        if not isinstance(request, WindowRequest):
            raise _missing("venue, account, symbol and span")
        return await read_window(request, within=PUBLIC_WITHIN)


def _missing(what: str) -> ApplicationError:
    return ApplicationError(
        f"{what} are missing", type=DenialCode.INVALID_INPUT, non_retryable=True
    )
