"""How an update refuses: the failure that carries a denial to the caller; what ids are refused."""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.domain.denials import Denied
from workflows.fields import id_refused


def refused(denied: Denied) -> ApplicationError:
    """The failure of an update that was refused: code, detail and field for the caller.

    They are one object: of several details our converter keeps the first alone.
    """
    return ApplicationError(
        denied.detail or str(denied.code),
        {"code": str(denied.code), "detail": denied.detail, "field": denied.field},
        type=str(denied.code),
        non_retryable=True,
    )


def raise_if(denied: Denied | None) -> None:
    """Raise the refusal, if there is one."""
    if denied is not None:
        raise refused(denied)


def data_of(raw: RawValue | None) -> bytes | None:
    """What was sent with an update."""
    return None if raw is None else raw.payload.data


def refused_id(field: str) -> Denied | None:
    """Why the workflow's own id cannot be that of an order or plan, which `field` would name.

    Temporal takes any text; a ':' or '/' in it would be taken for a leg's or a trigger's.
    """
    denied = id_refused(workflow.info().workflow_id, field)
    # one that began before this was asked goes on; whoever has a good id needs no marker
    return denied if denied is not None and workflow.patched("checked-ids") else None
