"""How long ago something was, by the database's clock."""

from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Numeric, cast, extract, func


def age_s(of: Any) -> ColumnElement[Decimal]:
    """Seconds since a moment, by the database's clock."""
    return cast(extract("epoch", func.clock_timestamp() - of), Numeric(20, 3))
