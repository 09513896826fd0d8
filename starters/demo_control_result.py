"""What the demo's controls came to: plain values, what did not hold of them, and their JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from activities.ledger.results import EXTERNAL, TradingState
from activities.ledger.view_audit import AuditView
from activities.ledger.view_position_models import PositionView
from starters.trading_state import SwitchAnswer
from workflows.domain.denials import DenialCode
from workflows.domain.exact import exact
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reconciliation import DifferenceKind
from workflows.messages import OrderSnapshot
from workflows.sync_messages import SyncReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltOutcome:
    """A halt with an order at work.

    `blocked_s`: until nothing could leave any more; `took_s`: until the exchange had confirmed the
    cancel of what was open. `refused` came during the halt; `paused` is the order then, `done` is
    its end.
    """

    answer: SwitchAnswer
    blocked_s: float
    took_s: float
    refused: OrderSnapshot
    paused: OrderSnapshot
    done: OrderSnapshot

    def failures(self) -> list[str]:
        """What did not hold."""
        found = []
        swept = [each for each in self.answer.orders if each.order_id == self.done.order_id]
        if not self.answer.confirmed or [each.status for each in swept] != ["cancelled"]:
            found.append("the halt did not confirm that its order is off the exchange")
        if self.refused.code is not DenialCode.TRADING_HALTED:
            found.append(f"an order during the halt is {self.refused.status}")
        if self.done.status is not OrderStatus.FILLED:
            found.append(f"the halted order is {self.done.status}")
        return found

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "scope": self.answer.scope,
            "confirmed": self.answer.confirmed,
            "blocked_s": round(self.blocked_s, 3),
            "confirmed_s": round(self.took_s, 3),
            "cancelled": [each.order_id for each in self.answer.orders],
            "refused": self.refused.code,
            "meanwhile": self.paused.status,
            "status": self.done.status,
            "filled": f"{self.done.filled_quantity:f}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is held and who decided what, at the end. `broken_at`: the first row of the audit trail
    that does not fit to the one before."""

    positions: Sequence[PositionView]
    audit: Sequence[AuditView]
    broken_at: int | None

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [
            f"the PnL of {each.strategy_id} in {each.symbol} at {each.exchange} does not add up"
            for each in self.positions
            if not adds_up(each)
        ]
        if self.broken_at is not None:
            found.append(f"the audit trail is broken at row {self.broken_at}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsOutcome:
    """A limit, a halt, an order made by hand (of so many base units), and two comparisons."""

    limited: OrderSnapshot
    halt: HaltOutcome
    by_hand: Decimal
    syncs: Sequence[SyncReport]
    books: Books

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [*self.halt.failures(), *self.books.failures()]
        if self.limited.code is not DenialCode.RISK_MAX_NOTIONAL:
            found.append(f"the order above the limit is {self.limited.status}")
        found += [
            f"{each.exchange} and the ledger differ" for each in self.syncs if not each.agrees
        ]
        recorded = {kind for each in self.syncs for kind in kinds_of(each)}
        is_external = any(each.strategy_id == EXTERNAL for each in self.books.positions)
        if not is_external or DifferenceKind.EXTERNAL_ORDER not in recorded:
            found.append("the order made by hand is not in the books as EXTERNAL")
        decided = {(each.action, (each.after or {}).get("state")) for each in self.books.audit}
        switched = [
            ("trading_state", state) for state in (TradingState.HALTED, TradingState.ACTIVE)
        ]
        for action, state in (("risk_limit", None), *switched):
            if (action, state) not in decided:
                found.append(f"the audit trail does not tell of {action} {state or ''}".rstrip())
        return found

    def as_json(self) -> dict[str, Any]:
        """For programs; amounts as exact text."""
        return {
            "limited": self.limited.code,
            "halt": self.halt.as_json(),
            "by_hand": f"{self.by_hand:f}",
            "syncs": [each.model_dump(mode="json") for each in self.syncs],
            "positions": [_position(each) for each in self.books.positions],
            "audit": [
                {"who": each.who, "action": each.action, "object": each.object}
                for each in self.books.audit
            ],
        }


def adds_up(position: PositionView) -> bool:
    """Whether realised and unrealised come to what was paid, received and is held."""
    if position.fees_unvalued or position.mark is None:
        return False
    with exact():
        worth = position.cash - position.fees_other + position.quantity * position.mark
    return position.total == worth


def kinds_of(report: SyncReport) -> list[DifferenceKind]:
    """What all accounts differed in, or what was recorded of them."""
    return [found.kind for each in report.accounts for found in each.differences]


def _position(position: PositionView) -> dict[str, str | None]:
    names = ("strategy_id", "exchange", "symbol")
    figures = ("quantity", "average_price", "mark", "realised_net", "unrealised", "total")
    told: dict[str, str | None] = {name: getattr(position, name) for name in names}
    for name in figures:
        value: Decimal | None = getattr(position, name)
        told[name] = None if value is None else f"{value:f}"
    return told
