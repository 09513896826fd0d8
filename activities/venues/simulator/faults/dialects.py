"""The dialects that can be disturbed, by name: one row each."""

from collections.abc import Callable, Mapping

from activities.venues.simulator.binance.faults import BinanceFaults
from activities.venues.simulator.faults.dialect import FaultDialect
from activities.venues.simulator.okx.faults import OkxFaults
from activities.venues.simulator.runtime import PaperExchange

FAULT_DIALECTS: Mapping[str, Callable[[PaperExchange], FaultDialect]] = {
    "binance": BinanceFaults,
    "okx": OkxFaults,
}


def fault_dialect(exchange: PaperExchange) -> FaultDialect:
    """How this exchange's dialect is disturbed."""
    return FAULT_DIALECTS[exchange.config.dialect](exchange)
