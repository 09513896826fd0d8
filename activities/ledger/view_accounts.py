"""Which accounts a reader may see: conditions that the views put on what they select.

Rule: None is every account, a set is exactly these; an empty set sees nothing. A reader who may not
see an account is told nothing of it, so that it cannot be told from one that does not exist.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_

from activities.ledger.control_models import Alarm
from activities.ledger.models import ChildOrder, ExecutionRow, ParentOrder

Accounts = frozenset[str] | None
"""Accounts that somebody may see; None: all."""


def seen(column: Any, accounts: Accounts) -> list[ColumnElement[bool]]:
    """The conditions that a row's account is one of them."""
    return [] if accounts is None else [column.in_(sorted(accounts))]


def seen_alarms(accounts: Accounts) -> list[ColumnElement[bool]]:
    """The conditions that an alarm is about an order, execution or account of theirs.

    An alarm's object is an order, a child of one, a watch `<order>/<n>`, an execution, or begins
    with `<exchange>/<account>`. What is about the engine as a whole is not theirs.
    """
    if accounts is None:
        return []
    allowed = sorted(accounts)
    first, second = func.split_part(Alarm.object, "/", 1), func.split_part(Alarm.object, "/", 2)
    its_order = and_(  # which may have an exchange's name
        second.regexp_match("^[0-9]*$"),
        exists().where(ParentOrder.order_id == first, ParentOrder.account.in_(allowed)),
    )
    its_child = exists().where(
        ChildOrder.client_order_id == Alarm.object, ChildOrder.account.in_(allowed)
    )
    its_execution = exists().where(
        ExecutionRow.execution_id == Alarm.object, ExecutionRow.account.in_(allowed)
    )
    is_account = func.split_part(second, ":", 1).in_(allowed)
    return [or_(its_order, its_child, its_execution, is_account)]
