"""The kill switch as it is asked for and answered, over HTTP and on the command line alike.

Rule: halting goes straight to the ledger and the venues and needs nobody else; flattening asks for
orders, so it needs Temporal and says so where that is away.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.ledger.results import TradingState
from activities.ledger.view_models import TradingStateView
from activities.ledger.view_open import OpenViews, Wanted
from starters.connections import Connections
from starters.errors import Unavailable
from starters.flatten import Flattened, flatten
from workers import emergency
from workers.emergency import LedgerAwayError, SwitchReport
from workers.settings import Settings, SettingsError
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import Side
from workflows.domain.scopes import FORMS, Scope, parse_scope
from workflows.fields import Amount, Boolean, Text, denial_of


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class SwitchRequest(_Message):
    """What a kill switch shall be."""

    state: TradingState = Field(description="active lets it trade again and needs a reason")
    scope: Text = Field(description=FORMS)
    reason: Text = ""
    requested_by: Text = Field("unknown", description="who asks, for the audit trail")
    cancel_orders: Boolean | None = Field(
        None, description="take what rests off the exchanges; default with halted only"
    )
    flatten: Boolean = Field(False, description="with halted: close the positions at the market")


class StateEntry(_Message):
    """The kill switch of one scope; one that is not shown is active."""

    scope: str
    state: TradingState
    code: str | None = Field(None, description="what orders are denied with, if not the state's")
    reason: str = ""
    updated_by: str | None = None
    updated_at: datetime | None = None


class StatePage(_Message):
    """Every kill switch that was ever set, `global` always among them."""

    states: list[StateEntry]


class SweptEntry(_Message):
    """What the exchange says about one order. Quantities in base units."""

    exchange: str
    account: str
    symbol: str
    client_order_id: str | None
    exchange_order_id: str | None
    order_id: str | None
    strategy_id: str | None
    status: str = Field(
        description="the exchange's terminal state; absent: proven never to have arrived; "
        "unproven: it may still be executed"
    )
    executed_quantity: Amount | None
    detail: str = ""


class ExitEntry(_Message):
    """An order that was to close a position. Base and quote units."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: Side
    quantity: Amount
    order_id: str | None
    status: str = Field(description="the order's; not_sent or unknown where there is none")
    filled_quantity: Amount
    average_price: Amount | None
    reason: str = ""


class HeldEntry(_Message):
    """A position that is not zero, in signed base units."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    quantity: Amount


class SwitchAnswer(_Message):
    """What a change of the kill switch came to."""

    scope: str
    state: TradingState
    reason: str
    requested_by: str
    set_at: datetime
    confirmed: bool = Field(
        description="nothing that was to be ended can still be executed, and nothing is left"
    )
    orders: list[SweptEntry] = Field(default=[], description="ended, by the exchange's word")
    unproven: list[SweptEntry] = Field(default=[], description="may still be executed")
    unreachable: list[str] = Field(default=[], description="what could not be asked, and why")
    unprotected: list[str] = Field(
        default=[], description="orders whose positions nothing guards now; alarmed"
    )
    exits: list[ExitEntry] = Field(default=[], description="with flatten: the closing orders")
    left: list[HeldEntry] = Field(default=[], description="with flatten: what is still held")


def validate_switch(value: Any) -> SwitchRequest | Denied:
    """The request in parsed JSON or typed options, or the first thing wrong with it."""
    if not isinstance(value, dict):
        return Denied(code=DenialCode.INVALID_TYPE, detail="the input must be a JSON object")
    try:
        asked = SwitchRequest.model_validate(value)
    except ValidationError as error:
        return denial_of(error)
    if asked.state is TradingState.ACTIVE and not asked.reason.strip():
        detail = "reason is required to let it trade again"
        return Denied(code=DenialCode.MISSING_FIELD, field="reason", detail=detail)
    if asked.state is TradingState.ACTIVE and asked.cancel_orders:
        return _not_allowed("cancel_orders", "cancel_orders does not go with active")
    if asked.flatten and asked.state is not TradingState.HALTED:
        return _not_allowed("flatten", "flatten goes with halted only")
    if asked.flatten and asked.cancel_orders is False:
        return _not_allowed("flatten", "flatten cannot leave the orders")
    return asked


def _not_allowed(field: str, detail: str) -> Denied:
    return Denied(code=DenialCode.FIELD_NOT_ALLOWED, field=field, detail=detail)


async def read_states(connections: Connections) -> StatePage:
    """The kill switches. Raises Unavailable."""
    async with connections.ledger() as ledger:
        found: list[TradingStateView] = await ledger.trading_states()
    entries = [StateEntry.model_validate(each) for each in found]
    if not any(each.scope == "global" for each in entries):
        entries.insert(0, StateEntry(scope="global", state=TradingState.ACTIVE))
    return StatePage(states=entries)


async def change(
    connections: Connections,
    settings: Settings,
    asked: SwitchRequest,
    *,
    within_s: Decimal,
    only_tighter: bool = False,
) -> SwitchAnswer | Denied:
    """Set the switch, and do what goes with it for up to `within_s` seconds (flatten: thrice that).

    `only_tighter`: reducing leaves alone what somebody halts meanwhile; the answer tells the state.
    Denied for a scope that cannot be. Raises Unavailable: then it may not be set.
    """
    scope = emergency.read_scope(settings, asked.scope)
    if isinstance(scope, Denied):
        return scope
    if await _names_nothing(connections, settings, scope, asked.state):
        detail = f"{scope.venue} does not list {scope.symbol}: nothing would be stopped"
        return Denied(code=DenialCode.UNKNOWN_SYMBOL, field="scope", detail=detail)
    try:
        if asked.flatten:
            done = await flatten(
                connections, settings, scope, asked.reason, asked.requested_by, within_s=within_s
            )
        else:
            done = Flattened(report=await _set(settings, scope, asked, within_s, only_tighter))
    except (LedgerAwayError, SettingsError) as error:
        raise Unavailable(f"{error}; the trading state may not be set") from error
    return _answer(done)


async def loosens(connections: Connections, asked: SwitchRequest) -> bool:
    """True where it would let pass what is stopped now: the way back, if only in part.

    Raises Unavailable.
    """
    if asked.state is not TradingState.REDUCING:
        return asked.state is TradingState.ACTIVE
    scope = str(parse_scope(asked.scope))
    states = (await read_states(connections)).states
    return any(each.scope == scope and each.state is TradingState.HALTED for each in states)


async def _names_nothing(
    connections: Connections, settings: Settings, scope: Scope, state: TradingState
) -> bool:
    """A switch of a symbol that does not exist would be a false comfort to whoever mistyped it."""
    if scope.symbol is None or state is TradingState.ACTIVE:
        return False
    wanted = Wanted(exchange=scope.venue, symbol=scope.symbol)
    try:
        async with connections.reading(OpenViews) as views:
            is_traded = bool(await views.orders(wanted, limit=1))
    except Unavailable:
        return False
    return not is_traded and await emergency.is_unlisted(settings, scope)


async def _set(
    settings: Settings,
    scope: Scope,
    asked: SwitchRequest,
    within_s: Decimal,
    only_tighter: bool,
) -> SwitchReport:
    reason, by = asked.reason, asked.requested_by
    if asked.state is TradingState.ACTIVE:
        return await emergency.resume(settings, scope, reason, by)
    if asked.state is TradingState.REDUCING:
        cancel = bool(asked.cancel_orders)
        return await emergency.reduce(
            *(settings, scope, reason, by),
            cancel_open=cancel,
            within_s=within_s,
            only_tighter=only_tighter,
        )
    cancel = asked.cancel_orders is not False
    return await emergency.halt(settings, scope, reason, by, cancel_open=cancel, within_s=within_s)


def _answer(done: Flattened) -> SwitchAnswer:
    report = done.report
    return SwitchAnswer(
        scope=str(report.scope),
        state=report.state,
        reason=report.reason,
        requested_by=report.by,
        set_at=report.set_at,
        confirmed=report.is_confirmed and not done.left,
        orders=[SweptEntry.model_validate(each) for each in report.orders],
        unproven=[SweptEntry.model_validate(each) for each in report.unproven],
        unreachable=list(report.unreachable),
        unprotected=list(report.unprotected),
        exits=[ExitEntry.model_validate(each) for each in done.exits],
        left=[HeldEntry.model_validate(each) for each in done.left],
    )
