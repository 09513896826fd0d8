"""What operators decide, as it is asked for over HTTP and on the command line alike.

Rule: every decision says who decides, which the audit trail keeps. `validate_decision` is the only
way from parsed JSON or typed options to one of them; it never raises on bad input.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from starters.connections import Connections
from workers.desk import MAX_OVERRIDE_MINUTES, Desk
from workers.settings import DEFAULT_ACCOUNT
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import ExactDecimal, Identifier, Text, WholeNumber, denial_of, in_range
from workflows.steering_messages import ResolveRequest, Verdict

_WHO = Field("unknown", description="who decides, for the audit trail")


_ONE_OF_TWO = Field(description="who decides: one of the two people that it takes")


def _said(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError(DenialCode.MISSING_FIELD.value, "must not be empty")
    return text


_Reason = Annotated[Text, AfterValidator(_said), Field(description="why, for the audit trail")]


class _Decision(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    requested_by: Text = _WHO


class LimitRequest(_Decision):
    """Set one risk limit of a scope; without a value it is unset."""

    scope: Text = Field(description="global, account:<venue>:<account>, symbol:..., strategy:<id>")
    name: Text = Field(description="which limit")
    value: ExactDecimal | None = Field(None, description="in the limit's own unit")
    reason: _Reason


class RearmRequest(_Decision):
    """Let a strategy trade again that was stopped by its counters."""

    strategy_id: Identifier
    reason: _Reason


class OverrideRequest(_Decision):
    """Let one control pass for a while; it needs another person's approval."""

    scope: Text = Field(description="as a limit's")
    code: Text = Field(description="the denial that it lets pass")
    minutes: Annotated[WholeNumber, in_range(Decimal(1), Decimal(MAX_OVERRIDE_MINUTES))] = Field(
        MAX_OVERRIDE_MINUTES, description="from the request on"
    )
    reason: _Reason
    requested_by: Text = _ONE_OF_TWO


class OverrideDecision(_Decision):
    """Revoke an override."""


class OverrideApproval(OverrideDecision):
    """Approve an override; two people are needed, so each must say who it is."""

    requested_by: Text = _ONE_OF_TWO


class AlarmAcknowledgement(_Decision):
    """Somebody has taken an alarm up."""

    note: Text = ""


class TransferRequest(_Decision):
    """A deposit (amount > 0) or a withdrawal that no trade explains."""

    account: Identifier = DEFAULT_ACCOUNT
    asset: Identifier
    amount: ExactDecimal = Field(description="in units of the asset; in > 0, out < 0")
    reason: _Reason


class ChildVerdict(_Decision):
    """What an operator found out about a child whose outcome is unknown."""

    verdict: Verdict = Field(description="absent: it may be sent again; adopt: it is this order")
    exchange_order_id: Text | None = Field(None, description="the exchange's id, to adopt it")
    reason: _Reason

    def of_child(self, index: int) -> ResolveRequest:
        """The input of the update `resolve`."""
        return ResolveRequest(child=index, **self.model_dump())


DecisionT = TypeVar("DecisionT", bound=_Decision)


def validate_decision(
    kind: type[DecisionT], value: Any, known: Mapping[str, object] | None = None
) -> DecisionT | Denied:
    """The decision, or the first thing wrong with it. `known` is given besides `value`."""
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the input must be a JSON object")
    if twice := next((name for name in known or {} if name in value), None):
        detail = f"{twice} is named by the address"
        return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field=twice, detail=detail)
    try:
        decided = kind.model_validate({**value, **(known or {})})
    except ValidationError as error:
        return denial_of(error)
    return _rule_of(decided) or decided


def _rule_of(decided: _Decision) -> Denied | None:
    """What one field says about another."""
    if isinstance(decided, TransferRequest) and decided.amount == 0:
        detail = "amount must not be 0"
        return Denied(code=DenialCode.OUT_OF_RANGE, field="amount", detail=detail)
    if not isinstance(decided, ChildVerdict):
        return None
    is_named, is_adopted = decided.exchange_order_id is not None, decided.verdict is Verdict.ADOPT
    if is_named == is_adopted:
        return None
    code = DenialCode.MISSING_FIELD if is_adopted else DenialCode.FIELD_NOT_ALLOWED
    return Denied(
        code=code, field="exchange_order_id", detail=f"exchange_order_id, verdict={decided.verdict}"
    )


async def decide(
    connections: Connections, ask: Callable[[Desk], Awaitable[Denied | None]]
) -> Denied | None:
    """Have it carried out; a denial where it cannot be. Raises Unavailable."""
    async with connections.desk() as desk:
        return await ask(desk)
