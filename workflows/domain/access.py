"""Who asks, and what they may: scopes, and the caller that an API key stands for.

Rule: what is not granted is refused. A scope contains no other one: a key that trades and reads has
both. It must not know how a key is stored, or what HTTP is.
"""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    """Look at orders, books, limits, states."""
    TRADE = "trade"
    """Start, steer and cancel orders and executions."""
    ADMIN = "admin"
    """Limits, overrides, verdicts, transfers; let trading go on."""
    KILL = "kill"
    """Halt trading, or let it only reduce; cancel. Never the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody whose key was good. `accounts` of None: every account."""

    key_id: str
    name: str
    """The key's name, which the audit trail and every decision bear."""
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None = None

    def may(self, scope: Scope) -> bool:
        """True if the key was given the scope."""
        return scope in self.scopes

    def sees(self, account: str) -> bool:
        """True if the key is bound to no account, or to this one."""
        return self.accounts is None or account in self.accounts
