"""Which venues the paper exchange plays, in which dialect, and how its clock is asked there.

Rule: plain data. The venues' own table says the same of the dialects; reading it here would load
ccxt into every process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperDialect:
    """A protocol of the paper exchange. `time_path` is public, and tells that it serves, too."""

    name: str
    time_path: str
    read_time_ms: Callable[[Any], int]
    """The exchange's clock in the decoded answer; LookupError or ValueError without one."""


_BINANCE = PaperDialect(
    name="binance",
    time_path="/api/v3/time",
    read_time_ms=lambda answer: int(answer["serverTime"]),
)
_OKX = PaperDialect(
    name="okx",
    time_path="/api/v5/public/time",
    read_time_ms=lambda answer: int(answer["data"][0]["ts"]),
)

PAPER_DIALECTS: Mapping[str, PaperDialect] = {
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "okx": _OKX,
}
"""By venue."""
