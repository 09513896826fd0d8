"""How a running order is steered: the inputs of the updates `pause`, `resume` and `amend`.

`parse_steer` and `parse_amend` are the only ways from JSON to them; they answer a denial with the
code and the field, and never raise on bad input.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflows.domain.denials import DenialCode, Denied
from workflows.fields import (
    OLD_TIMES,
    ExactDecimal,
    Moment,
    PositiveDecimal,
    Stamp,
    Text,
    denial_of,
    in_range,
)
from workflows.order_times import too_early
from workflows.payloads import InvalidJsonError, strict_loads

MAX_STEER_BYTES = 4 * 1024
MAX_ACTIONS_SHOWN = 20


class ActionKind(StrEnum):
    """What was done to a running order."""

    PAUSE = "pause"
    RESUME = "resume"
    AMEND = "amend"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    """An operator's verdict on a child whose outcome was unknown."""


class Verdict(StrEnum):
    """What an operator found out about a child whose outcome is unknown."""

    ABSENT = "absent"
    """The venue never had it: it may be sent again."""
    ADOPT = "adopt"
    """It is the venue's order of this id."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SteerRequest(_Message):
    """Pause or resume. `requested_by` is kept in the audit trail."""

    requested_by: Text = Field("unknown", description="who asks, for the audit trail")
    reason: Text = ""


class AmendRequest(_Message):
    """What a running order shall be from now on; at least one of the four changes."""

    price: PositiveDecimal | None = Field(None, description="new limit price")
    quantity: PositiveDecimal | None = Field(
        None, description="new total in base units, executed quantity included"
    )
    end_at: Moment | None = Field(None, description="new end, RFC 3339 with offset")
    max_participation: (
        Annotated[ExactDecimal, in_range(Decimal("0.0001"), Decimal("0.9999"))] | None
    ) = Field(None, description="new share of the market's volume, for a twap")
    requested_by: Text = Field("unknown", description="who asks, for the audit trail")
    reason: Text = ""

    @property
    def changes(self) -> dict[str, Decimal | datetime]:
        """The fields that change, by name."""
        names = ("price", "quantity", "end_at", "max_participation")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class ResolveRequest(_Message):
    """What an operator found out about a child order whose outcome is unknown."""

    child: int = Field(ge=0, description="index of the child order")
    order_id: Text | None = Field(None, description="the leg, of an execution")
    verdict: Verdict = Field(description="absent: it may be sent again; adopt: it is this order")
    exchange_order_id: Text | None = Field(None, description="the exchange's id, to adopt it")
    reason: Text = Field(min_length=1, description="how that is known, for the audit trail")
    requested_by: Text = Field("unknown", description="who decides, for the audit trail")


class ActionView(_Message):
    """One action on the order, as shown to people and services."""

    index: int
    kind: ActionKind
    at: Stamp
    requested_by: str
    reason: str = ""
    detail: str = Field("", description="what changed, e.g. price 50000 -> 49900")


def told_verdict(child: int, verdict: Verdict, exchange_order_id: str | None) -> str:
    """A verdict as the `detail` of its action: child 0 adopt 12345."""
    return " ".join(["child", str(child), verdict.value, *filter(None, [exchange_order_id])])


SteeringT = TypeVar("SteeringT", SteerRequest, AmendRequest, ResolveRequest)


def parse_steer(raw: bytes | None) -> SteerRequest | Denied:
    """Input of `pause` and `resume`; none at all is fine."""
    return _parse(raw, SteerRequest)


def parse_amend(raw: bytes | None, *, with_old_times: bool = False) -> AmendRequest | Denied:
    """Input of `amend`, or the first thing wrong with it; a change of nothing is denied.

    `with_old_times`: as it was read before times had to be RFC 3339.
    """
    parsed = _parse(raw, AmendRequest, OLD_TIMES if with_old_times else None)
    if isinstance(parsed, AmendRequest) and not with_old_times:
        early = too_early(end_at=parsed.end_at)
        if early is not None:
            return early
    if isinstance(parsed, AmendRequest) and not parsed.changes:
        return Denied(
            code=DenialCode.MISSING_FIELD,
            detail="name at least one of price, quantity, end_at, max_participation",
        )
    return parsed


def parse_resolve(raw: bytes | None) -> ResolveRequest | Denied:
    """Input of `resolve`, or the first thing wrong with it."""
    parsed = _parse(raw, ResolveRequest)
    if isinstance(parsed, Denied):
        return parsed
    if (parsed.verdict is Verdict.ADOPT) == (parsed.exchange_order_id is not None):
        return parsed
    is_missing = parsed.exchange_order_id is None
    return Denied(
        code=DenialCode.MISSING_FIELD if is_missing else DenialCode.FIELD_NOT_ALLOWED,
        field="exchange_order_id",
        detail=f"verdict={parsed.verdict}",
    )


def _parse(
    raw: bytes | None, model: type[SteeringT], context: dict[str, str] | None = None
) -> SteeringT | Denied:
    if raw is not None and len(raw) > MAX_STEER_BYTES:
        return Denied(
            code=DenialCode.INVALID_INPUT, detail=f"the input has at most {MAX_STEER_BYTES} bytes"
        )
    try:
        value = strict_loads(raw) if raw else {}
    except InvalidJsonError as error:
        return Denied(code=error.code, detail=str(error))
    if value is not None and not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the input must be a JSON object")
    try:
        return model.model_validate(value or {}, context=context)
    except ValidationError as error:
        return denial_of(error)
