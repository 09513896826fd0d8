"""Reading a plan from a file or standard input and from options, which win over the file.

Rule: as for orders, the engine's own rules judge it before anything is connected, and whatever
is wrong with it is an InvalidInputError that names the field.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from starters.cli_input import InvalidInputError, Typed, given
from workflows.domain.denials import DenialCode, Denied
from workflows.execution_messages import ArbitragePlan, RebalancePlan
from workflows.messages import MAX_BODY_BYTES
from workflows.payloads import InvalidJsonError, strict_loads
from workflows.plans import validate_plan

STDIN = "-"
PlanT = TypeVar("PlanT", ArbitragePlan, RebalancePlan)


def read_arbitrage(source: str | None, fields: Typed) -> ArbitragePlan:
    """The arbitrage in `source`, a file or `-`, with what the options say; with its id."""
    return _named(_valid(ArbitragePlan, _read(source) | given(fields)))


def read_rebalance(
    source: str | None,
    fields: Typed,
    lists: Mapping[str, Sequence[str]],
    *,
    default_exchanges: Sequence[str],
) -> RebalancePlan:
    """The rebalancing, likewise. `lists` are options that may be repeated, targets among them."""
    typed: dict[str, Any] = {name: list(values) for name, values in lists.items() if values}
    if "targets" in typed:
        typed["targets"] = _weights(typed["targets"])
    plan = {"exchanges": list(default_exchanges)} | _read(source) | given(fields) | typed
    return _named(_valid(RebalancePlan, plan))


def _read(source: str | None) -> dict[str, Any]:
    if source is None:
        return {}
    raw = _bytes_of(source)
    if len(raw) > MAX_BODY_BYTES:
        raise _invalid(DenialCode.INVALID_INPUT, f"a plan has at most {MAX_BODY_BYTES} bytes")
    try:
        plan = strict_loads(raw)
    except InvalidJsonError as error:
        raise _invalid(error.code, f"plan: {error}") from None
    if not isinstance(plan, dict):
        raise _invalid(DenialCode.INVALID_TYPE, "the plan must be a JSON object")
    return plan


def _bytes_of(source: str) -> bytes:
    most = MAX_BODY_BYTES + 1
    if source == STDIN:
        return sys.stdin.buffer.read(most)
    try:
        with open(source, "rb") as file:
            return file.read(most)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _invalid(DenialCode.INVALID_INPUT, f"plan cannot be read: {why}") from None


def _weights(texts: Sequence[str]) -> dict[str, str]:
    weights: dict[str, str] = {}
    for text in texts:
        asset, equals, weight = text.partition("=")
        if not (asset and equals):
            raise _invalid(DenialCode.INVALID_TYPE, "targets must be ASSET=WEIGHT, as BTC=0.5")
        if asset in weights:
            raise _invalid(DenialCode.DUPLICATE_FIELD, "targets: an asset is given twice")
        weights[asset] = weight
    return weights


def _valid(kind: type[PlanT], value: dict[str, Any]) -> PlanT:
    plan = validate_plan(value, kind)
    if isinstance(plan, Denied):
        raise InvalidInputError(plan)
    return plan


def _named(plan: PlanT) -> PlanT:
    return plan.model_copy(update={"id": plan.id or uuid4().hex})


def _invalid(code: DenialCode, detail: str) -> InvalidInputError:
    return InvalidInputError(Denied(code=code, detail=detail))
