"""The bodies of operators' decisions as OpenAPI shows them, with examples and error codes."""

from typing import Any

from pydantic import BaseModel

from starters.api.documentation import BODY_FIELD_CODES, body_of
from starters.api.errors import Code
from starters.decisions import (
    AlarmAcknowledgement,
    ChildVerdict,
    LimitRequest,
    OverrideApproval,
    OverrideDecision,
    OverrideRequest,
    RearmRequest,
    TransferRequest,
)
from workflows.domain.denials import DenialCode

DECISIONS: tuple[type[BaseModel], ...] = (
    AlarmAcknowledgement,
    ChildVerdict,
    LimitRequest,
    OverrideApproval,
    OverrideDecision,
    OverrideRequest,
    RearmRequest,
    TransferRequest,
)
"""Bodies that are read by hand, so that their schemas are added by hand."""
DECISION_CODES: tuple[Code, ...] = (
    *BODY_FIELD_CODES,
    DenialCode.MISSING_FIELD,
    DenialCode.FIELD_NOT_ALLOWED,
    DenialCode.NOT_FOUND,
    DenialCode.UNAVAILABLE,
)
"""Of every decision."""


def _example(title: str, summary: str, /, **value: Any) -> dict[str, Any]:
    return {title: {"summary": summary, "value": value}}


ACK_BODY = body_of(
    AlarmAcknowledgement,
    _example("ack", "with a note", note="looking at the venue"),
    required=False,
)
VERDICT_BODY = body_of(
    ChildVerdict,
    {
        **_example(
            "absent", "the exchange never had it", verdict="absent", reason="support ticket 4711"
        ),
        **_example(
            "adopt",
            "it is the exchange's order of this id",
            verdict="adopt",
            exchange_order_id="28457",
            reason="seen on the exchange's own page",
        ),
    },
)
LIMIT_BODY = body_of(
    LimitRequest,
    {
        **_example(
            "set",
            "no order of this strategy above 20,000",
            scope="strategy:strategy_001",
            name="max_order_value",
            value="20000",
            reason="first week",
        ),
        **_example(
            "unset",
            "back to the default",
            scope="strategy:strategy_001",
            name="max_order_value",
            value=None,
            reason="first week is over",
        ),
    },
)
REARM_BODY = body_of(
    RearmRequest,
    _example("rearm", "it may trade again", strategy_id="strategy_001", reason="bug is mended"),
)
OVERRIDE_BODY = body_of(
    OverrideRequest,
    _example(
        "collar",
        "for ten minutes, once another has approved",
        scope="strategy:strategy_001",
        code="RISK_PRICE_COLLAR",
        minutes=10,
        reason="the market gaps",
    ),
)
OVERRIDE_APPROVAL_BODY = body_of(
    OverrideApproval, _example("approve", "the key's name is kept; not that of who asked for it")
)
OVERRIDE_DECISION_BODY = body_of(
    OverrideDecision, _example("revoke", "the key's name is kept"), required=False
)
TRANSFER_BODY = body_of(
    TransferRequest,
    _example(
        "deposit", "5,000 USDT came in", asset="USDT", amount="5000", reason="deposit of Monday"
    ),
)
