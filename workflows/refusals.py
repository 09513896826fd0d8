"""How an update refuses: the failure that carries a denial to the caller."""

from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows.domain.denials import Denied


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
