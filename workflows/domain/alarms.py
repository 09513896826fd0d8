"""What a human must know: a closed set of codes, each with what it means and what to do.

An alarm is a row of the ledger, one line in a worker's log and, where ALARM_WEBHOOK_URL is set,
one call of it. It stays open until somebody acknowledges it, or the ledger sees the end of what it
is about. A test holds the README's table to
this one.
"""

from dataclasses import dataclass
from enum import StrEnum


class AlarmCode(StrEnum):
    """One code per cause. The value is what users see."""

    # orders
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    VERDICT_NOT_FOLLOWED = "VERDICT_NOT_FOLLOWED"
    ORDER_FAILED = "ORDER_FAILED"
    ORDER_ADOPTED = "ORDER_ADOPTED"
    UNPROTECTED = "UNPROTECTED"
    STOP_EXHAUSTED = "STOP_EXHAUSTED"
    OCO_LEG_LOST = "OCO_LEG_LOST"
    TRIGGER_WITHOUT_OWNER = "TRIGGER_WITHOUT_OWNER"
    # executions
    NAKED_LEG = "NAKED_LEG"
    RESIDUAL_HELD = "RESIDUAL_HELD"
    RESIDUAL_BEYOND_BOUND = "RESIDUAL_BEYOND_BOUND"
    COMPENSATION_DENIED = "COMPENSATION_DENIED"
    FEE_WITHOUT_PRICE = "FEE_WITHOUT_PRICE"
    LEG_LEFT_OPEN = "LEG_LEFT_OPEN"
    EXECUTION_BROKEN = "EXECUTION_BROKEN"
    EXECUTION_ADOPTED = "EXECUTION_ADOPTED"
    EXECUTION_LOST = "EXECUTION_LOST"
    UNKNOWN_EXECUTION = "UNKNOWN_EXECUTION"
    # fills and books
    FILLS_MISSING = "FILLS_MISSING"
    LATE_FILL = "LATE_FILL"
    LATE_ACK = "LATE_ACK"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    FILL_CONFLICT = "FILL_CONFLICT"
    FILL_QUARANTINED = "FILL_QUARANTINED"
    FILL_AFTER_CLOSE = "FILL_AFTER_CLOSE"
    EXTERNAL_FILL = "EXTERNAL_FILL"
    EXTERNAL_ORDER = "EXTERNAL_ORDER"
    TRADE_WITHOUT_ORDER = "TRADE_WITHOUT_ORDER"
    FEE_NOT_VALUED = "FEE_NOT_VALUED"
    RECON_BREAK = "RECON_BREAK"
    LEDGER_LOST_INTENT = "LEDGER_LOST_INTENT"
    LEDGER_RESTORED = "LEDGER_RESTORED"
    # feeds
    ACCOUNT_NOT_FOLLOWED = "ACCOUNT_NOT_FOLLOWED"
    PRICE_FEED_STALE = "PRICE_FEED_STALE"
    PRICE_PATH_LOST = "PRICE_PATH_LOST"
    DROP_COPY_BLIND = "DROP_COPY_BLIND"
    # controls
    LOSS_LIMIT = "LOSS_LIMIT"
    STRATEGY_DISABLED = "STRATEGY_DISABLED"
    HALT_INCOMPLETE = "HALT_INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Advice:
    """What an alarm means, and what whoever reads it should do; each one line."""

    meaning: str
    action: str


_ADVICE: dict[AlarmCode, tuple[str, str]] = {
    AlarmCode.UNKNOWN_ORDER: (
        "the venue has not said for minutes whether it has the order",
        "look at the venue; decide it with `orders resolve` if it stays silent",
    ),
    AlarmCode.VERDICT_NOT_FOLLOWED: (
        "what an operator said of an unknown order does not fit what the venue shows",
        "look at the venue again; decide anew with `orders resolve`",
    ),
    AlarmCode.ORDER_FAILED: (
        "an order broke; what is live of it may still trade",
        "look at `orders failed` and at the venue; cancel there what is left",
    ),
    AlarmCode.ORDER_ADOPTED: (
        "an order's workflow was lost; the engine settled what it had left",
        "start the order anew for what is not filled",
    ),
    AlarmCode.UNPROTECTED: (
        "a protective order is suspended: nothing guards the position",
        "protect or leave the position by hand",
    ),
    AlarmCode.STOP_EXHAUSTED: (
        "a stop has fired and could not leave within its bounds",
        "leave the position by hand, or cancel the order",
    ),
    AlarmCode.OCO_LEG_LOST: (
        "the venue ended the limit leg of an OCO; the stop still guards",
        "watch it, or place the limit again as a new order",
    ),
    AlarmCode.TRIGGER_WITHOUT_OWNER: (
        "a price fired a trigger whose order's workflow is gone",
        "leave the position by hand if it still stands",
    ),
    AlarmCode.NAKED_LEG: (
        "one leg of an arbitrage has stood alone for long",
        "watch it; the engine compensates when its time is up",
    ),
    AlarmCode.RESIDUAL_HELD: (
        "an arbitrage ended with a residual that could not be traded away within its bound",
        "trade the residual by hand, or keep it",
    ),
    AlarmCode.RESIDUAL_BEYOND_BOUND: (
        "a residual costs more to trade away than its bound allows; the engine waits",
        "trade it by hand, or wait for the price",
    ),
    AlarmCode.COMPENSATION_DENIED: (
        "a risk control denied the order that would compensate",
        "lift what denies it, or trade the residual by hand",
    ),
    AlarmCode.FEE_WITHOUT_PRICE: (
        "a fee was paid in an asset of which no price is known",
        "add the fee to the profit by hand",
    ),
    AlarmCode.LEG_LEFT_OPEN: (
        "an execution ended while an order of its was not final",
        "look at that order; cancel it at the venue if it rests",
    ),
    AlarmCode.EXECUTION_BROKEN: (
        "a bug broke an execution; it goes on to settle",
        "look at what it left when it has ended",
    ),
    AlarmCode.EXECUTION_ADOPTED: (
        "an execution's workflow was lost; the engine settles what it left",
        "none; start it anew if it is still wanted",
    ),
    AlarmCode.EXECUTION_LOST: (
        "an execution's workflow broke again and again",
        "settle its orders and its residual by hand",
    ),
    AlarmCode.UNKNOWN_EXECUTION: (
        "the end of an execution came that the ledger does not know",
        "the ledger was restored: compare with the venue",
    ),
    AlarmCode.FILLS_MISSING: (
        "the venue says that more is filled than it has told trades of",
        "look at the venue; the order waits for its trades",
    ),
    AlarmCode.LATE_FILL: (
        "a fill came after the child had been settled; it is booked",
        "none; the position includes it",
    ),
    AlarmCode.LATE_ACK: (
        "an order came to life after it had been taken for absent",
        "look whether it was sent twice; the engine books what it trades",
    ),
    AlarmCode.DUPLICATE_ORDER: (
        "the venue has two orders under one client order id",
        "cancel the one too many at the venue",
    ),
    AlarmCode.FILL_CONFLICT: (
        "the venue told one trade twice with different figures; the first is booked",
        "compare with the venue's statement",
    ),
    AlarmCode.FILL_QUARANTINED: (
        "a trade cannot be right and was not booked",
        "compare with the venue's statement",
    ),
    AlarmCode.FILL_AFTER_CLOSE: (
        "a fill came after the order's workflow had ended; it is booked",
        "none; the position includes it",
    ),
    AlarmCode.EXTERNAL_FILL: (
        "the account traded without us; booked under the strategy EXTERNAL",
        "find out who trades there",
    ),
    AlarmCode.EXTERNAL_ORDER: (
        "the account has an order that is not ours",
        "find out who trades there; cancel it at the venue if it should not be",
    ),
    AlarmCode.TRADE_WITHOUT_ORDER: (
        "a trade is known, and not whose order it is of",
        "look at the venue; it is booked as soon as its order is known",
    ),
    AlarmCode.FEE_NOT_VALUED: (
        "a fee was paid in an asset of which no price could be read",
        "the position leaves it out until a price is known",
    ),
    AlarmCode.RECON_BREAK: (
        "our books and the venue have differed for a minute or longer",
        "look at `positions sync`; book a transfer if money moved",
    ),
    AlarmCode.LEDGER_LOST_INTENT: (
        "the venue has an order of ours that the ledger does not know",
        "the ledger was restored: compare with the venue",
    ),
    AlarmCode.LEDGER_RESTORED: (
        "the ledger is older than what was seen before: it was restored",
        "the venue is halted, fills since then are read again: compare both, then resume it",
    ),
    AlarmCode.ACCOUNT_NOT_FOLLOWED: (
        "an account cannot be read; nothing new is sent there",
        "look at the venue, the network and the API key",
    ),
    AlarmCode.PRICE_FEED_STALE: (
        "triggers cannot see the price",
        "look at the venue; protect the positions by hand meanwhile",
    ),
    AlarmCode.PRICE_PATH_LOST: (
        "what the price did while it was not followed cannot be read",
        "look whether a trigger should have fired",
    ),
    AlarmCode.DROP_COPY_BLIND: (
        "the second look at an account does not work",
        "look at the drop copy's log and its API key",
    ),
    AlarmCode.LOSS_LIMIT: (
        "a strategy or account lost more than its limit: it may only reduce, or nothing at all",
        "look at its positions; change the limit, then `trading-state resume` what it stopped",
    ),
    AlarmCode.STRATEGY_DISABLED: (
        "a strategy was stopped: too many orders a day, or rejections in a row",
        "find out why; re-arm it with `risk rearm`",
    ),
    AlarmCode.HALT_INCOMPLETE: (
        "orders are still at a venue after a halt",
        "cancel them at the venue by hand",
    ),
}


def advice_on(code: str) -> Advice:
    """What it means and what to do; empty for a code that only older versions knew."""
    known = AlarmCode.__members__.get(code)
    return Advice("", "") if known is None else Advice(*_ADVICE[known])
