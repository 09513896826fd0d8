"""The allow-list: which failed submissions are rejections, and that all others are unknown."""

import json
from decimal import Decimal

import ccxt
import pytest

from activities.venues.ccxt_call import VenueCall
from activities.venues.ccxt_errors import Redactor, read_error, submission_error
from activities.venues.dialects import dialect_of
from activities.venues.gateway import (
    OrderAbsentError,
    OutcomeUnknownError,
    SymbolUnknownError,
    VenueClockError,
    VenueRejectedError,
    VenueUnavailableError,
)
from workflows.domain.reports import RejectionFamily

BINANCE = dialect_of("binance")
PLAIN = Redactor(())


def refusal(code: int, message: str, status: int = 400) -> VenueCall:
    body = json.dumps({"code": code, "msg": message})
    return VenueCall(sent=True, status=status, body=body)


def test_every_listed_rejection_is_definite_and_carries_the_venues_code() -> None:
    rows = [
        (ccxt.InsufficientFunds, -2010, RejectionFamily.BALANCE),
        (ccxt.OrderImmediatelyFillable, -2010, RejectionFamily.PRICE),
        (ccxt.OrderNotFillable, -2010, RejectionFamily.PRICE),
        (ccxt.BadSymbol, -1121, RejectionFamily.PERMISSION),
        (ccxt.MarketClosed, -1013, RejectionFamily.PERMISSION),
        (ccxt.PermissionDenied, -2015, RejectionFamily.PERMISSION),
        (ccxt.AccountSuspended, -2015, RejectionFamily.PERMISSION),
        (ccxt.RestrictedLocation, -2015, RejectionFamily.PERMISSION),
        (ccxt.ContractUnavailable, -1013, RejectionFamily.PERMISSION),
        (ccxt.AuthenticationError, -1022, RejectionFamily.PERMISSION),
        (ccxt.InvalidOrder, -1013, RejectionFamily.FILTER),
        (ccxt.BadRequest, -1013, RejectionFamily.FILTER),
        (ccxt.OperationRejected, -2016, RejectionFamily.FILTER),
    ]
    for raised, code, family in rows:
        told = submission_error(raised("no"), refusal(code, "no"), BINANCE, PLAIN)
        assert isinstance(told, VenueRejectedError), raised
        assert (told.code, told.family) == (str(code), family), raised


@pytest.mark.parametrize(
    "error",
    [
        ccxt.ExchangeError("bare"),
        ccxt.BaseError("bare"),
        ccxt.RequestTimeout("late"),
        ccxt.ExchangeNotAvailable("reset"),
        ccxt.OnMaintenance("down"),
        ccxt.OperationFailed("?"),
        ccxt.RateLimitExceeded("429"),
        ccxt.DDoSProtection("418"),
        ccxt.BadResponse("?"),
        ccxt.NullResponse("?"),
        ccxt.CancelPending("?"),
        ccxt.DuplicateOrderId("twice"),
        ccxt.OrderNotFound("child of InvalidOrder"),
        ccxt.NoChange("child of OperationRejected"),
        ConnectionResetError("reset"),
        TimeoutError(),
        KeyError("id"),
        RuntimeError("never seen"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_everything_off_the_list_is_unknown_once_a_request_left(error: Exception) -> None:
    told = submission_error(error, refusal(-1013, "no"), BINANCE, PLAIN)
    assert isinstance(told, OutcomeUnknownError)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ccxt.InvalidOrder("dup"), refusal(-2010, "Duplicate order sent.")),
        (ccxt.BadRequest("busy"), refusal(-1016, "This service is no longer available.")),
        (ccxt.AuthenticationError("?"), refusal(-1007, "Timeout waiting for response.")),
        (ccxt.InvalidOrder("no code"), VenueCall(sent=True, status=400, body="<html>LOT_SIZE")),
        (ccxt.InvalidOrder("5xx"), refusal(-1013, "no", status=500)),
        (ccxt.InsufficientFunds("5xx"), refusal(-2010, "no", status=503)),
        (ccxt.BadSymbol("from an accepted order"), VenueCall(sent=True, status=200, body="{}")),
        (ccxt.BadSymbol("no answer"), VenueCall(sent=True)),
    ],
)
def test_a_listed_class_is_unknown_when_the_answer_does_not_prove_it(
    error: Exception, call: VenueCall
) -> None:
    assert isinstance(submission_error(error, call, BINANCE, PLAIN), OutcomeUnknownError)


def test_a_refused_timestamp_is_a_clock_error() -> None:
    call = refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
    told = submission_error(ccxt.InvalidNonce("late"), call, BINANCE, PLAIN)
    assert isinstance(told, VenueClockError)
    assert (told.code, told.family) == ("-1021", RejectionFamily.CLOCK)


def test_what_ccxt_refuses_before_sending_is_a_rejection() -> None:
    told = submission_error(ccxt.ArgumentsRequired("price"), VenueCall(), BINANCE, PLAIN)
    assert isinstance(told, VenueRejectedError)
    assert told.code == "ArgumentsRequired"


def test_an_exception_of_ours_before_sending_stays_unknown() -> None:
    told = submission_error(TypeError("bug"), VenueCall(), BINANCE, PLAIN)
    assert isinstance(told, OutcomeUnknownError)


def test_reads_tell_absence_and_bad_symbols_from_failures() -> None:
    call = VenueCall(sent=True)
    assert isinstance(
        read_error(ccxt.OrderNotFound("-2013"), call, BINANCE, PLAIN), OrderAbsentError
    )
    assert isinstance(read_error(ccxt.BadSymbol("-1121"), call, BINANCE, PLAIN), SymbolUnknownError)
    for error in (ccxt.ExchangeError("?"), KeyError("id"), TimeoutError(), OSError("reset")):
        assert isinstance(read_error(error, call, BINANCE, PLAIN), VenueUnavailableError)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("30", Decimal(30)),
        ("0", Decimal(1)),
        ("999999999", Decimal(3 * 24 * 3600)),
        ("-5", None),
        ("NaN", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_clamped_and_garbage_is_ignored(
    header: str | None, expected: Decimal | None
) -> None:
    call = VenueCall(sent=True)
    call.answered(429, {} if header is None else {"Retry-After": header}, "")
    told = read_error(ccxt.DDoSProtection("429"), call, BINANCE, PLAIN)
    assert isinstance(told, VenueUnavailableError)
    assert told.retry_after_s == expected


def test_error_texts_hold_no_secret_no_signed_query_and_are_bounded() -> None:
    redactor = Redactor(("s3cret-value", "", "k3y-value"))
    text = redactor.describe(
        ccxt.ExchangeNotAvailable(
            "GET https://x/api/v3/order?symbol=BTCUSDT&signature=abcdef k3y-value s3cret-value "
            + "y" * 1000
        )
    )
    assert "signature" not in text
    assert "s3cret-value" not in text
    assert "k3y-value" not in text
    assert len(text) <= 300
