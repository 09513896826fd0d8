"""What a kill switch covers: everything, one venue, one symbol at a venue, or one strategy.

The text of a scope is its key in the ledger; `parse_scope` is the only way from text to one.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from workflows.domain.denials import DenialCode, Denied

FORMS = "global, venue:<exchange>, symbol:<exchange>:<symbol> or strategy:<id>"
_VENUE = re.compile(r"[a-z][a-z0-9]{0,31}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9]{1,32}/[A-Z0-9]{1,32}", re.ASCII)
_STRATEGY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class ScopeKind(StrEnum):
    """What a scope names; also how its text begins."""

    GLOBAL = "global"
    VENUE = "venue"
    SYMBOL = "symbol"
    STRATEGY = "strategy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`venue` with VENUE and SYMBOL, `symbol` with SYMBOL, `strategy_id` with STRATEGY."""

    kind: ScopeKind
    venue: str | None = None
    symbol: str | None = None
    strategy_id: str | None = None

    def __str__(self) -> str:
        names = (self.venue, self.symbol, self.strategy_id)
        return ":".join([self.kind, *(name for name in names if name is not None)])


def parse_scope(text: str) -> Scope | Denied:
    """The scope that the text names, or what is wrong with it."""
    kind, colon, rest = text.partition(":")
    if kind == ScopeKind.GLOBAL and not colon:
        return Scope(kind=ScopeKind.GLOBAL)
    if kind == ScopeKind.VENUE and _VENUE.fullmatch(rest):
        return Scope(kind=ScopeKind.VENUE, venue=rest)
    if kind == ScopeKind.STRATEGY and _STRATEGY.fullmatch(rest):
        return Scope(kind=ScopeKind.STRATEGY, strategy_id=rest)
    venue, _, symbol = rest.partition(":")
    if kind == ScopeKind.SYMBOL and _VENUE.fullmatch(venue) and _SYMBOL.fullmatch(symbol):
        return Scope(kind=ScopeKind.SYMBOL, venue=venue, symbol=symbol)
    known = kind in list(ScopeKind)
    code = DenialCode.ILLEGAL_CHARS if known else DenialCode.UNKNOWN_ENUM
    return Denied(code=code, field="scope", detail=f"scope must be {FORMS}")
