"""The kill switch for those who may pull it: straight to the ledger and the venues.

`halt` first sets HALTED in the ledger, so that nothing new can leave, and then takes what is open
off the venues. `reduce` and `resume` only set the switch. None of it needs Temporal or a worker.

Rule: nothing is sent and nothing is booked here. What is told of an order is the exchange's own
word, read after the cancel; of what could not be confirmed the ids are told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from typing import TypeVar

from activities.ledger.engine import LEDGER_AWAY, open_engine
from activities.ledger.results import TradingState
from activities.ledger.state_store import Holding, Setting, StateStore, SweepFacts
from workers.settings import DEFAULT_ACCOUNT, Settings
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.scopes import Scope, parse_scope

T = TypeVar("T")

WITHIN_S = Decimal(60)
"""How long a sweep may take; four times as long as the proof that an order is absent."""
LISTED_WITHIN_S = 3.0
_MOST_NAMED = 10


class LedgerAwayError(Exception):
    """The ledger does not answer: the switch may not be set, and nothing was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptOrder:
    """What became of one order, by the exchange. Quantities in base units.

    `status` is the exchange's terminal state; `absent` for one that was proven never to have
    arrived; `unproven` for one that may still be executed, `detail` says why.
    """

    exchange: str
    account: str
    symbol: str
    client_order_id: str | None
    exchange_order_id: str | None
    order_id: str | None
    strategy_id: str | None
    status: str
    executed_quantity: Decimal | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchReport:
    """What a change of the switch came to.

    `set_at`: when it held, UTC. `orders` are those that the exchange has ended (or never had);
    `unproven` those that may still be executed. `unreachable`: what could not be asked, and why.
    `unprotected`: orders whose positions nothing guards any more.
    """

    scope: Scope
    state: TradingState
    reason: str
    by: str
    set_at: datetime
    orders: tuple[SweptOrder, ...] = ()
    unproven: tuple[SweptOrder, ...] = ()
    unreachable: tuple[str, ...] = ()
    unprotected: tuple[str, ...] = ()

    @property
    def is_confirmed(self) -> bool:
        """True when nothing of what was to be ended can still be executed."""
        return not self.unproven and not self.unreachable


def read_scope(settings: Settings, text: str) -> Scope | Denied:
    """The scope that the text names; denied for a venue that is not configured."""
    scope = parse_scope(text)
    if isinstance(scope, Scope) and scope.venue not in (None, *settings.exchanges):
        known = ", ".join(settings.exchanges)
        detail = f"scope names an exchange that is not one of {known}"
        return Denied(code=DenialCode.UNKNOWN_ENUM, field="scope", detail=detail)
    return scope


async def is_unlisted(settings: Settings, scope: Scope) -> bool:
    """True when the scope is of one symbol and its venue says that there is none such.

    One of SYMBOLS is taken for listed, and so is any while the venue does not answer in time.
    """
    if scope.venue is None or scope.symbol is None or scope.symbol in settings.symbols:
        return False
    from activities.venues.gateway import SymbolUnknownError, VenueUnavailableError
    from workers.bootstrap import open_gateways

    try:
        async with asyncio.timeout(LISTED_WITHIN_S), open_gateways(settings) as gateways:
            await gateways[scope.venue, DEFAULT_ACCOUNT].instrument(scope.symbol)
    except SymbolUnknownError:
        return True
    except (VenueUnavailableError, TimeoutError):
        return False
    return False


async def halt(
    settings: Settings,
    scope: Scope,
    reason: str,
    by: str,
    *,
    cancel_open: bool = True,
    within_s: Decimal = WITHIN_S,
) -> SwitchReport:
    """Let nothing of the scope leave any more, then take what is open off the venues.

    `by`: who asks, for the audit trail. Repeating it sweeps again. Raises LedgerAwayError.
    """
    setting = Setting(state=TradingState.HALTED, reason=reason, by=by)
    return await _change(settings, scope, setting, cancel_open=cancel_open, within_s=within_s)


async def reduce(
    settings: Settings,
    scope: Scope,
    reason: str,
    by: str,
    *,
    cancel_open: bool = False,
    only_tighter: bool = False,
    within_s: Decimal = WITHIN_S,
) -> SwitchReport:
    """From now on let only those orders of the scope leave that bring a position closer to zero.

    What rests stays unless `cancel_open`. `only_tighter`: what is halted stays so, and the report
    says it. Raises LedgerAwayError.
    """
    setting = Setting(state=TradingState.REDUCING, reason=reason, by=by)
    return await _change(
        *(settings, scope, setting),
        cancel_open=cancel_open,
        within_s=within_s,
        only_tighter=only_tighter,
    )


async def resume(settings: Settings, scope: Scope, reason: str, by: str) -> SwitchReport:
    """Let the scope trade again. Orders that were suspended wait for their own `resume`.

    ValueError without a reason. Raises LedgerAwayError.
    """
    if not reason.strip():
        raise ValueError("trading is resumed for a reason")
    setting = Setting(state=TradingState.ACTIVE, reason=reason, by=by)
    return await _change(settings, scope, setting, cancel_open=False, within_s=WITHIN_S)


async def holdings(settings: Settings, scope: Scope) -> list[Holding]:
    """Positions of the scope that are not zero. Raises LedgerAwayError."""
    async with _store(settings) as store:
        return await _answered(store.holdings(scope))


async def _change(
    settings: Settings,
    scope: Scope,
    setting: Setting,
    *,
    cancel_open: bool,
    within_s: Decimal,
    only_tighter: bool = False,
) -> SwitchReport:
    loading = asyncio.create_task(asyncio.to_thread(_load)) if cancel_open else None
    async with _store(settings) as store:
        state = await _answered(store.set(scope, setting, only_tighter=only_tighter))
        set_at = datetime.now(UTC)
        unprotected: Sequence[str] = ()
        alarms: tuple[str, ...] = ()
        if setting.state is TradingState.HALTED:
            try:
                unprotected = await store.alarm_unprotected(scope, at_venue_too=cancel_open)
            except LEDGER_AWAY as error:  # what is open must be taken off all the same
                alarms = (f"ledger: no alarms of unprotected orders: {type(error).__name__}",)
        swept = _Swept()
        if loading is not None:
            await loading
            swept = await _sweep(settings, store, scope, within_s)
        await _alarm_incomplete(store, scope, setting, swept)
    return SwitchReport(
        scope=scope,
        state=state,
        reason=setting.reason,
        by=setting.by,
        set_at=set_at,
        orders=swept.orders,
        unproven=swept.unproven,
        unreachable=alarms + swept.unreachable,
        unprotected=tuple(unprotected),
    )


async def _alarm_incomplete(
    store: StateStore, scope: Scope, setting: Setting, swept: "_Swept"
) -> None:
    if setting.state is not TradingState.HALTED or not (swept.unproven or swept.unreachable):
        return
    ids = [each.client_order_id or each.exchange_order_id for each in swept.unproven]
    detail = f"unproven={len(ids)} ids={','.join(map(str, ids[:_MOST_NAMED]))}"
    with suppress(*LEDGER_AWAY):  # whoever asked is told all of it anyway
        await store.alarm_incomplete(scope, f"{detail} not_asked={len(swept.unreachable)}")


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[StateStore]:
    engine = open_engine(settings.dsn(), pool_size=2)
    try:
        yield StateStore(engine)
    finally:
        with suppress(OSError):
            await engine.dispose()


async def _answered(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except LEDGER_AWAY as error:
        raise LedgerAwayError(f"the ledger does not answer: {type(error).__name__}") from error


# --- the sweep ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swept:
    orders: tuple[SweptOrder, ...] = ()
    unproven: tuple[SweptOrder, ...] = ()
    unreachable: tuple[str, ...] = ()


def _load() -> None:
    """Read the venues' clients, which takes a second, while the switch is set: it must not wait."""
    import_module("workers.bootstrap")
    import_module("workers.sweep")


async def _sweep(settings: Settings, store: StateStore, scope: Scope, within_s: Decimal) -> _Swept:
    from workers.accounts import accounts_of
    from workers.bootstrap import open_gateways, proof_window_of
    from workers.sweep import Case, Sweep

    async def read_facts() -> SweepFacts | None:
        try:
            return await store.facts(scope)
        except LEDGER_AWAY:
            return None

    def told(cases: Sequence[Case]) -> tuple[SweptOrder, ...]:
        return tuple(
            SweptOrder(
                exchange=case.venue,
                account=case.account,
                symbol=case.symbol,
                client_order_id=case.client_order_id,
                exchange_order_id=case.venue_order_id,
                order_id=case.intent.order_id if case.intent else None,
                strategy_id=case.intent.strategy_id if case.intent else None,
                status=case.outcome,
                executed_quantity=case.report.executed_quantity if case.report else None,
                detail="" if case.is_settled else case.trouble,
            )
            for case in cases
        )

    places = accounts_of(settings)
    async with open_gateways(settings) as gateways:
        sweep = Sweep(
            scope=scope,
            gateways=gateways,
            symbols=settings.symbols,
            window=proof_window_of(settings),
            read_facts=read_facts,
            rates={place: settings.venue(*place).rate_limit for place in places},
        )
        await sweep.run(within_s)
    unproven = sweep.unproven()
    unreachable = [f"{what}: {why}" for what, why in sorted(sweep.unreachable.items())]
    if not sweep.is_complete and not unproven and not unreachable:
        unreachable = ["the sweep was not finished in its time"]
    return _Swept(
        orders=told([case for case in sweep.all_cases() if case.is_settled]),
        unproven=told(unproven),
        unreachable=tuple(unreachable),
    )
