"""Denial codes: a closed set, each with its HTTP status, and how a refusal is written."""

import pytest

from workflows.domain.denials import DenialCode, Denied, http_status

STATUSES = {
    404: ["NOT_FOUND"],
    429: ["RATE_LIMITED"],
    400: ["INVALID_JSON", "DUPLICATE_FIELD", "TOO_DEEP"],
    409: [
        "IDEMPOTENCY_CONFLICT",
        "ALREADY_TERMINAL",
        "TRADING_HALTED",
        "TRADING_REDUCING",
        "PAIR_BUSY",
        "AMEND_BELOW_FILLED",
        "NOT_STEERABLE",
        "NOT_PAUSED",
        "STRATEGY_DISABLED",
        "NOT_UNKNOWN",
        "NEEDS_ANOTHER",
    ],
    422: [
        "INVALID_INPUT",
        "MISSING_FIELD",
        "UNKNOWN_FIELD",
        "FIELD_NOT_ALLOWED",
        "INVALID_TYPE",
        "INVALID_DECIMAL",
        "NOT_POSITIVE",
        "OUT_OF_RANGE",
        "PRECISION",
        "MIN_NOTIONAL",
        "INVALID_TIME",
        "UNKNOWN_ENUM",
        "UNKNOWN_SYMBOL",
        "ILLEGAL_CHARS",
        "TOO_LONG",
        "INVALID_CURSOR",
        "SYMBOL_NOT_TRADING",
        "SYMBOL_RULES_INVALID",
        "RISK_MAX_NOTIONAL",
        "RISK_MAX_POSITION",
        "RISK_PRICE_COLLAR",
        "RISK_STALE_REF",
        "RISK_OVERSHOOT",
        "SAME_VENUE",
        "UNSUPPORTED_LEGS",
        "INCONSISTENT_PLAN",
        "BELOW_MIN_PROFIT",
        "SLIPPAGE",
        "INSUFFICIENT_DEPTH",
        "INSUFFICIENT_FUNDS",
        "STALE_BOOK",
        "BOOK_SKEW",
        "INVALID_WEIGHTS",
        "MISSING_PRICE",
        "STOP_WRONG_SIDE",
        "OCO_PRICES",
        "TRIGGER_SOURCE",
        "NOT_NATIVE",
        "END_BEFORE_START",
        "INCONSISTENT_SCHEDULE",
        "RISK_REDUCE_ONLY",
        "RISK_NO_LIMIT",
        "RISK_MAX_QTY",
        "RISK_MAX_EXPOSURE",
        "RISK_DUPLICATE",
        "RISK_SELF_MATCH",
        "LOSS_LIMIT",
        "UNKNOWN_LIMIT",
        "INCONSISTENT_LIMITS",
        "UNKNOWN_ASSET",
    ],
    503: ["RECONCILING", "UNAVAILABLE", "NOT_ACCEPTED_IN_TIME"],
}


@pytest.mark.parametrize(
    ("status", "code"), [(status, code) for status, codes in STATUSES.items() for code in codes]
)
def test_a_code_has_the_http_status_of_what_the_caller_can_do(status: int, code: str) -> None:
    assert http_status(DenialCode(code)) == status


def test_no_code_is_without_a_status_that_was_thought_about() -> None:
    listed = [code for codes in STATUSES.values() for code in codes]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(DenialCode)


@pytest.mark.parametrize("code", list(DenialCode))
def test_a_code_is_shown_as_it_is_named(code: DenialCode) -> None:
    assert code.name == code.value == str(code)


def test_a_refusal_is_written_as_its_code_and_the_facts() -> None:
    detail = "notional=1 max=0"
    assert str(Denied(code=DenialCode.RISK_MAX_NOTIONAL, detail=detail)) == (
        "RISK_MAX_NOTIONAL: notional=1 max=0"
    )
    assert str(Denied(code=DenialCode.UNAVAILABLE)) == "UNAVAILABLE"
