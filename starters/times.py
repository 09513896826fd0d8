"""A time that a reader asks for, as a query or an option: judged by the clock of this process.

An order's times are judged by its workflow instead, so that a late retry of it is not refused.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from workflows.domain.denials import DenialCode
from workflows.fields import Moment
from workflows.order_times import EARLIEST, FARTHEST


def _in_reach(moment: datetime) -> datetime:
    if EARLIEST <= moment <= datetime.now(UTC) + FARTHEST:
        return moment
    message = f"must be from the year {EARLIEST.year} to one year ahead"
    raise PydanticCustomError(DenialCode.INVALID_TIME.value, "{why}", {"why": message})


GivenTime = Annotated[Moment, AfterValidator(_in_reach)]
"""A moment in UTC, from the year 2000 to one year ahead; refused as INVALID_TIME."""
