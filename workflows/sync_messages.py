"""What is asked of a comparison with a venue, and what it answers: `SyncPositions`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.reconciliation import DifferenceKind
from workflows.fields import Amount, Stamp, Text, denial_of
from workflows.messages import MAX_BODY_BYTES
from workflows.payloads import InvalidJsonError, strict_loads
from workflows.ports.sync import SyncAction


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SyncRequest(_Message):
    """Compare all accounts of a venue with the ledger."""

    exchange: Text
    requested_by: Text = "workflow"


class DifferenceReport(_Message):
    """One difference between ledger and venue."""

    kind: DifferenceKind
    object: str = Field(description="asset, symbol, order or trade, within the account")
    action: SyncAction
    age_s: Amount = Field(description="seconds since it was first seen")
    ours: Amount | None = Field(None, description="in the ledger, in the object's unit")
    theirs: Amount | None = Field(None, description="at the venue, in the object's unit")
    value: Amount | None = Field(None, description="quote units, where a price is known")
    detail: str = ""


class AccountReport(_Message):
    """What comparing one account found."""

    account: str
    looked_at: Stamp | None = Field(None, description="UTC, RFC 3339")
    settled: bool = Field(
        default=False, description="nothing moved meanwhile, so balances were compared too"
    )
    differences: tuple[DifferenceReport, ...] = ()
    differences_total: int = 0
    code: DenialCode | None = Field(None, description="why it was not compared")
    reason: str = ""


class SyncReport(_Message):
    """What differed, by account; or why nothing was compared."""

    exchange: str | None = None
    accounts: tuple[AccountReport, ...] = ()
    code: DenialCode | None = None
    field: str | None = None
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Every account was compared whole, and nothing stayed open."""
        return self.code is None and all(
            each.code is None
            and each.settled
            and all(found.action is not SyncAction.OPEN for found in each.differences)
            for each in self.accounts
        )


def parse_sync(raw: bytes) -> SyncRequest | Denied:
    """The request from JSON text, or the first thing wrong with it."""
    if len(raw) > MAX_BODY_BYTES:
        return Denied(code=DenialCode.INVALID_INPUT, detail=f"at most {MAX_BODY_BYTES} bytes")
    try:
        value: Any = strict_loads(raw)
    except InvalidJsonError as error:
        return Denied(code=error.code, detail=str(error))
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the request must be a JSON object")
    try:
        return SyncRequest.model_validate(value)
    except ValidationError as error:
        return denial_of(error)


def refused(denied: Denied, exchange: str | None = None) -> SyncReport:
    """The report of a comparison that did not take place."""
    return SyncReport(exchange=exchange, code=denied.code, field=denied.field, reason=denied.detail)
