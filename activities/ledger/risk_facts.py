"""What the risk controls read in the transaction that decides, as columns of one row of facts.

Rule: the caller holds the locks of `risk_locks` before it reads, so nobody else can pass on the
same headroom. Every bind of these queries is made by `binds_of`, but the child's own id.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Row,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.book_models import AccountBalance, Mark
from activities.ledger.checks import Controls
from activities.ledger.control_models import (
    MessageWindow,
    RiskLimit,
    RiskOverride,
    StrategyCounter,
)
from activities.ledger.models import AccountReadiness, ChildOrder, Position, Reservation
from activities.ledger.results import PositionKey
from activities.ledger.risk_locks import asset_of, cap_scopes, of_account, of_scopes, today
from workflows.domain.denials import DenialCode
from workflows.domain.limits import LimitName, LimitSet, applied, scopes_of
from workflows.domain.orders import ChildType, Side, TimeInForce
from workflows.domain.risk import Cap, Funds, Limits

NOT_RESTING = (TimeInForce.IOC.value, TimeInForce.FOK.value)
_RESTING = (ChildType.LIMIT.value, ChildType.OCO.value)
_ZERO = Decimal(0)


# --- facts --------------------------------------------------------------------------------------


def control_columns() -> list[Any]:
    """What `controls_of` and `limits_of` read; binds what `binds_of` and `working` bind."""
    return [
        _limits_set().label("limits_set"),
        overridden().label("overridden"),
        _counter(StrategyCounter.disabled).label("disabled"),
        _own_best().label("own_best"),
        _books_kept().label("books_kept"),
        _held().label("funds_held"),
        _reserved().label("funds_reserved"),
    ]


def order_columns() -> list[Any]:
    """What is held against a whole order besides."""
    since_midnight = case((StrategyCounter.day == today(), StrategyCounter.parents_today), else_=0)
    return [
        func.coalesce(_counter(since_midnight), 0).label("parents_today"),
        func.coalesce(_messages(), 0).label("messages"),
    ]


def _limits_set() -> ScalarSelect[Any]:
    """The limits of all scopes of the order, as {scope and name: value}."""
    key = RiskLimit.scope + literal(" ") + RiskLimit.name
    rows = func.jsonb_object_agg(key, cast(RiskLimit.value, Text))
    return select(type_coerce(rows, JSONB)).where(of_scopes(RiskLimit.scope)).scalar_subquery()


def overridden() -> ScalarSelect[Any]:
    """Codes of denials that overrides in force let pass. Binds limit_scopes."""
    return (
        select(func.array_agg(RiskOverride.code))
        .where(of_scopes(RiskOverride.scope), *in_force())
        .scalar_subquery()
    )


def in_force() -> list[ColumnElement[bool]]:
    """Overrides that two people agreed on, and that are neither over nor revoked."""
    return [
        RiskOverride.approved_at.is_not(None),
        RiskOverride.revoked_at.is_(None),
        RiskOverride.expires_at > func.clock_timestamp(),
    ]


def _counter(column: Any) -> ScalarSelect[Any]:
    mine = StrategyCounter.strategy_id == bindparam("strategy_id")
    return select(column).where(mine).scalar_subquery()


def _own_best() -> ScalarSelect[Any]:
    """The best price of our own orders on the other side that rest or may come to rest."""
    best = case(
        (
            bindparam("other_side", type_=Text) == Side.SELL.value,
            func.min(ChildOrder.price),
        ),
        else_=func.max(ChildOrder.price),
    )
    return (
        select(best)
        .select_from(Reservation)
        .join(ChildOrder, ChildOrder.client_order_id == Reservation.client_order_id)
        .where(
            Reservation.state == "open",
            of_account(Reservation),
            Reservation.symbol == bindparam("symbol"),
            Reservation.side == bindparam("other_side"),
            ChildOrder.child_type.in_(_RESTING),
            ChildOrder.time_in_force.not_in(NOT_RESTING),
        )
        .scalar_subquery()
    )


def _books_kept() -> ColumnElement[bool]:
    """Whether the account's opening balances were taken: until then our books say nothing."""
    return exists().where(of_account(AccountReadiness), AccountReadiness.opened_at.is_not(None))


def _held() -> ScalarSelect[Any]:
    return (
        select(AccountBalance.amount)
        .where(of_account(AccountBalance), AccountBalance.asset == bindparam("funds_asset"))
        .scalar_subquery()
    )


def _reserved() -> ScalarSelect[Any]:
    """What open orders hold of the asset, without one child's own."""
    return (
        select(func.coalesce(func.sum(Reservation.quantity * Reservation.unit_funds), 0))
        .where(
            Reservation.state == "open",
            of_account(Reservation),
            Reservation.asset == bindparam("funds_asset"),
            Reservation.client_order_id != bindparam("client_order_id"),
        )
        .scalar_subquery()
    )


def _messages() -> ScalarSelect[Any]:
    """Messages of the last second: the part of the second before that is not over yet counts."""
    now = func.extract("epoch", func.clock_timestamp())
    age = cast(now, Numeric) - MessageWindow.second
    sliding = case(
        (age < 1, MessageWindow.previous * (1 - func.greatest(age, 0)) + MessageWindow.current),
        (age < 2, MessageWindow.current * (2 - age)),
        else_=0,
    )
    return select(func.floor(sliding)).where(of_account(MessageWindow)).scalar_subquery()


def limits_set_of(facts: Row[Any]) -> LimitSet:
    """The limits that are set in the order's scopes."""
    found: dict[tuple[str, LimitName], Decimal] = {}
    for key, value in (facts.limits_set or {}).items():
        scope, _, name = key.rpartition(" ")
        if name in list(LimitName):  # a newer version may know of more
            found[scope, LimitName(name)] = Decimal(value)
    return found


def limits_of(facts: Row[Any], key: PositionKey, limits: Limits) -> Limits:
    """What binds an order of this position; `limits` hold where nothing is set."""
    scopes = scopes_of(key.strategy_id, key.account, key.exchange, key.symbol)
    return applied(limits_set_of(facts), limits, scopes, key.exchange, key.symbol)


async def controls_of(
    connection: AsyncConnection, facts: Row[Any], key: PositionKey, side: Side, child: str = ""
) -> Controls:
    """What is held against an order, or against `child`, in a row of facts.

    Sums of exposures are only read where one is limited.
    """
    known = facts._mapping
    funds = None
    if facts.books_kept:
        held, reserved = facts.funds_held or _ZERO, facts.funds_reserved
        funds = Funds(asset=asset_of(key, side), held=held, reserved=reserved)
    return Controls(
        overridden=frozenset(DenialCode(code) for code in facts.overridden or ()),
        disabled=facts.disabled,
        own_best=facts.own_best,
        funds=funds,
        caps=await _caps(connection, limits_set_of(facts), key, child),
        parents_today=known.get("parents_today", 0),
        messages=Decimal(known.get("messages", 0)),
        same_as=known.get("same_as"),
    )


# --- sums ---------------------------------------------------------------------------------------


async def _caps(
    connection: AsyncConnection, limits: LimitSet, key: PositionKey, child: str
) -> tuple[Cap, ...]:
    found = {
        scope: limits[scope, LimitName.MAX_EXPOSURE]
        for scope in cap_scopes(key)
        if (scope, LimitName.MAX_EXPOSURE) in limits
    }
    if not found:
        return ()
    names = {"exchange": key.exchange, "account": key.account, "client_order_id": child}
    sums = (await connection.execute(_EXPOSURES, names)).one()
    used = dict(zip(cap_scopes(key), (sums.of_all, sums.of_account), strict=True))
    return tuple(Cap(scope=scope, limit=limit, used=used[scope]) for scope, limit in found.items())


def _exposures() -> Select[Any]:
    """All that is held, at its mark or else its cost, and all that works or is unknown."""
    at_cost, at_mark = func.abs(Position.cost), func.abs(Position.quantity) * Mark.price
    held = (
        select(Position.exchange, Position.account, func.coalesce(at_mark, at_cost).label("value"))
        .outerjoin(Mark, and_(Mark.exchange == Position.exchange, Mark.symbol == Position.symbol))
        .where(Position.quantity != 0)
    )
    working = select(
        Reservation.exchange,
        Reservation.account,
        (Reservation.quantity * Reservation.unit_value).label("value"),
    ).where(
        Reservation.state == "open",
        Reservation.client_order_id != bindparam("client_order_id"),
    )
    all_of_it = held.union_all(working).subquery("exposures")
    return select(
        func.coalesce(func.sum(all_of_it.c.value), 0).label("of_all"),
        func.coalesce(func.sum(all_of_it.c.value).filter(of_account(all_of_it.c)), 0).label(
            "of_account"
        ),
    )


_EXPOSURES = _exposures()
