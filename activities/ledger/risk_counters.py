"""What is counted of strategies and accounts: orders of a day, rejections in a row, messages.

Rule: counted in the transaction that decides, once per decision. A strategy that counted too far is
disabled until a human re-arms it; the counter's row says why.
"""

from typing import Any

from sqlalchemy import BigInteger, Insert, Row, Update, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.audit import ENGINE, audit
from activities.ledger.control_models import MessageWindow, RiskLimit, StrategyCounter
from activities.ledger.risk_locks import today
from activities.ledger.statements import alarm
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.limits import GLOBAL, LimitName, strategy_scope
from workflows.domain.risk import Limits

DISABLED = "strategy_disabled"


def count_message(exchange: Any, account: Any) -> Insert:
    """One more message of an account; values or binds."""
    second = cast(func.floor(func.extract("epoch", func.clock_timestamp())), BigInteger)
    new = insert(MessageWindow).values(
        exchange=exchange, account=account, second=second, current=1, previous=0
    )
    is_next = new.excluded.second == MessageWindow.second + 1
    is_later = new.excluded.second > MessageWindow.second
    return new.on_conflict_do_update(
        index_elements=[MessageWindow.exchange, MessageWindow.account],
        set_={
            "previous": case(
                (is_next, MessageWindow.current), (is_later, 0), else_=MessageWindow.previous
            ),
            "current": case((is_later, 1), else_=MessageWindow.current + 1),
            "second": func.greatest(new.excluded.second, MessageWindow.second),
        },
    )


def count_order(strategy_id: Any) -> Insert:
    """One more order of a strategy today; a value or a bind."""
    new = insert(StrategyCounter).values(strategy_id=strategy_id, day=today(), parents_today=1)
    same_day = StrategyCounter.day == new.excluded.day
    return new.on_conflict_do_update(
        index_elements=[StrategyCounter.strategy_id],
        set_={
            "parents_today": case((same_day, StrategyCounter.parents_today + 1), else_=1),
            "day": new.excluded.day,
        },
    )


def disable(strategy_id: str, why: str) -> list[Insert | Update]:
    """The strategy may enlarge nothing until somebody re-arms it."""
    about = strategy_scope(strategy_id)
    return [
        update(StrategyCounter)
        .where(StrategyCounter.strategy_id == strategy_id)
        .values(disabled=why),
        alarm(AlarmCode.STRATEGY_DISABLED, about, why),
        audit(ENGINE, DISABLED, about, after={"disabled": why}, reason=why),
    ]


async def disabling(
    connection: AsyncConnection, strategy_id: str, denied: Denied
) -> list[Insert | Update]:
    """What a denial leaves to write, where it is the first to disable the strategy.

    The strategy's counter is held then. The audit is among it: write it last.
    """
    if denied.code is not DenialCode.STRATEGY_DISABLED:
        return []
    new = insert(StrategyCounter).values(strategy_id=strategy_id, day=today())
    await connection.execute(new.on_conflict_do_nothing())
    mine = select(StrategyCounter.disabled).where(StrategyCounter.strategy_id == strategy_id)
    known = await connection.execute(mine.with_for_update(key_share=True))
    return [] if known.scalar_one() is not None else disable(strategy_id, denied.detail)


async def count_rejection(
    connection: AsyncConnection, child: Row[Any], code: str, limits: Limits
) -> None:
    """One more rejection in a row of the child's strategy, the last with this code."""
    new = insert(StrategyCounter).values(
        strategy_id=child.strategy_id, day=today(), rejects_in_row=1
    )
    counted = new.on_conflict_do_update(
        index_elements=[StrategyCounter.strategy_id],
        set_={"rejects_in_row": StrategyCounter.rejects_in_row + 1},
    ).returning(StrategyCounter.rejects_in_row, StrategyCounter.disabled)
    counter = (await connection.execute(counted)).one()
    if counter.disabled is not None:
        return
    scopes = [GLOBAL, strategy_scope(child.strategy_id)]
    bound = select(func.min(RiskLimit.value)).where(
        RiskLimit.name == LimitName.MAX_REJECTS_IN_ROW.value, RiskLimit.scope.in_(scopes)
    )
    found = (await connection.execute(bound)).scalar_one()
    most = limits.max_rejects_in_row if found is None else found
    if counter.rejects_in_row >= most:
        why = f"rejects_in_row={counter.rejects_in_row} max={most:f} last={code}"
        for write in disable(child.strategy_id, why):
            await connection.execute(write)


def forget_rejections(strategy_id: str) -> Update:
    """An order was accepted by its venue: whatever was wrong is so no longer."""
    return (
        update(StrategyCounter)
        .where(StrategyCounter.strategy_id == strategy_id, StrategyCounter.rejects_in_row > 0)
        .values(rejects_in_row=0)
    )
