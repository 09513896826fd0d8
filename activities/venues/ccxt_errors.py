"""What an error of a call means to the caller: an allow-list as data, and nothing in doubt.

A submission is rejected only by the rows below; whatever is not in them may have left a live
order behind. Rejections that cover several causes need a code in the venue's answer, and the
venue's row may take codes back. It must not know orders or Temporal.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from json import JSONDecodeError, loads
from types import MappingProxyType

import aiohttp
import ccxt

from activities.venues.ccxt_call import VenueCall
from activities.venues.ccxt_fields import UnreadableAnswerError
from activities.venues.dialects import Dialect, VenueErrorText
from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    SymbolUnknownError,
    VenueClockError,
    VenueError,
    VenueRejectedError,
    VenueUnavailableError,
)
from workflows.domain.reports import RejectionFamily

MIN_RETRY_AFTER_S = 1
MAX_RETRY_AFTER_S = 3 * 24 * 3600
MAX_MESSAGE_CHARS = 300


class Proof(Enum):
    """What it takes, besides the ccxt class, to believe that nothing is live."""

    CLASS = "class"
    """The class is enough."""
    CODE = "code"
    """The venue's answer must carry a code of its own."""


# Exact classes, not their children: an unlisted child of a listed class is unknown.
REJECTIONS: Mapping[type[BaseException], tuple[Proof, RejectionFamily]] = MappingProxyType(
    {
        ccxt.InsufficientFunds: (Proof.CLASS, RejectionFamily.BALANCE),
        ccxt.OrderImmediatelyFillable: (Proof.CLASS, RejectionFamily.PRICE),
        ccxt.OrderNotFillable: (Proof.CLASS, RejectionFamily.PRICE),
        ccxt.BadSymbol: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.MarketClosed: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.RestrictedLocation: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.ContractUnavailable: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.AuthenticationError: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.PermissionDenied: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.AccountNotEnabled: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.AccountSuspended: (Proof.CLASS, RejectionFamily.PERMISSION),
        ccxt.InvalidOrder: (Proof.CODE, RejectionFamily.FILTER),
        ccxt.BadRequest: (Proof.CODE, RejectionFamily.FILTER),
        ccxt.OperationRejected: (Proof.CODE, RejectionFamily.FILTER),
        ccxt.InvalidNonce: (Proof.CLASS, RejectionFamily.CLOCK),
    }
)

# What a call may raise when the venue or the way to it is at fault. The last line is how ccxt
# chokes on an answer of an unexpected shape.
ANSWER_ERRORS: tuple[type[Exception], ...] = (
    ccxt.BaseError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    UnreadableAnswerError,
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)


class Redactor:
    """Makes error texts safe to store: no secrets, no signed query strings, bounded length."""

    _QUERY = re.compile(r"\?\S+")

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def describe(self, error: BaseException, words: str = "") -> str:
        """`Class: text` of an error, redacted; `words` are the venue's own, if it had any."""
        text = self._QUERY.sub("?...", words or str(error))
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        name = type(error).__name__
        return f"{name}: {text}"[:MAX_MESSAGE_CHARS] if text else name


def submission_error(
    error: Exception, call: VenueCall, dialect: Dialect, redactor: Redactor
) -> VenueError:
    """The error that a failed submission raises, by the allow-list."""
    message = redactor.describe(error)
    proof, family = REJECTIONS.get(type(error), (None, RejectionFamily.PERMISSION))
    if not call.sent and isinstance(error, ccxt.BaseError):
        name = type(error).__name__
        return VenueRejectedError(f"not sent: {message}", code=name, family=family)
    told = _told(call, dialect)
    if isinstance(error, ccxt.ExchangeError) and told and told.code in dialect.refusals:
        proof, family = Proof.CODE, dialect.refusals[told.code]
    if isinstance(error, ccxt.ExchangeError) and told and dialect.refuses_price(told):
        proof, family = Proof.CODE, RejectionFamily.PRICE
    if proof is None or not _is_definite(proof, told, call, dialect):
        return OutcomeUnknownError(message)
    code = type(error).__name__ if told is None else told.code
    message = redactor.describe(error, told.message if told else "")
    if family is RejectionFamily.CLOCK:
        return VenueClockError(message, code=code, family=family)
    return VenueRejectedError(message, code=code, family=family)


def _is_definite(
    proof: Proof, told: VenueErrorText | None, call: VenueCall, dialect: Dialect
) -> bool:
    # A server error says nothing about the order, whatever its body says.
    if call.status is None or call.status >= 500:
        return False
    if told is None:
        return proof is Proof.CLASS and call.status >= 400
    return told.code not in dialect.not_rejections and not dialect.duplicate_id(told)


def read_error(
    error: Exception,
    call: VenueCall,
    dialect: Dialect,
    redactor: Redactor,
    *,
    is_of_order: bool = False,
) -> VenueError:
    """The error that a failed read or cancel raises; `is_of_order`: of one single order."""
    message = redactor.describe(error)
    told = _told(call, dialect) if is_of_order else None
    if isinstance(error, ccxt.OrderNotFound) or (told and dialect.tells_absence(told)):
        return OrderAbsentError(message)
    if isinstance(error, ccxt.BadSymbol):
        return SymbolUnknownError(message)
    return VenueUnavailableError(message, retry_after_s=_retry_after_s(call.retry_after))


def _told(call: VenueCall, dialect: Dialect) -> VenueErrorText | None:
    try:
        return dialect.read_error(loads(call.body))
    except (JSONDecodeError, RecursionError):
        return None


def _retry_after_s(header: str | None) -> Decimal | None:
    # Seconds only: the HTTP-date form would need a clock that agrees with the venue's.
    if header is None or not re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return None
    return Decimal(min(max(int(header), MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S))
