"""What all tables of the ledger are built from: how Python types are stored, and finite numbers.

Rule: money is NUMERIC without bounds, times are timestamptz, ids are text.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import ARRAY, CheckConstraint, DateTime, Numeric, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Money = Annotated[Decimal, mapped_column(Numeric)]
Key = Annotated[str, mapped_column(Text, primary_key=True)]
Created = Annotated[datetime, mapped_column(server_default=func.now())]


class Base(DeclarativeBase):
    """What all tables share: how Python types are stored."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration style
        str: Text,
        Decimal: Numeric,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


def finite(column: str, *, positive: bool = False) -> CheckConstraint:
    """No NaN and no infinity: NUMERIC would hold both, and NaN compares above everything."""
    low = f"{column} > 0" if positive else f"{column} > '-Infinity'"
    return CheckConstraint(f"{low} AND {column} < 'Infinity'", name=f"{column}_is_finite")
