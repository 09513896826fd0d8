"""The verdict on a run: the exchange's own log against the ledger, and against what callers heard.

Rule: the checker finds what is wrong, this file says what it means: sent twice, lost, unfinished,
or a difference. A violation stays one, however often it is seen again, and counts in the run that
saw it first. It writes nothing.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from starters.kinds import EXECUTION_TYPES, WORKFLOW_TYPES
from tests.chaos.desk import Told
from tests.chaos.planned import Plan, PlannedArbitrage
from tests.chaos.prices import PriceDiary
from tests.e2e.proof import HARMLESS_CAUSES
from tests.e2e.world import World
from workers.checker import SETTLE_WITHIN_S, check_settled
from workers.checker_ledger import read_ledger
from workers.checker_rules import Invariant, Violation
from workers.settings import Settings
from workers.workflow_code import WORKFLOWS, sandbox
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.execution_messages import ArbitrageSnapshot
from workflows.messages import OrderSnapshot
from workflows.payloads import DATA_CONVERTER

END_WITHIN_S = 60.0
LOOK_EVERY_S = 0.5
READ_WAIT = timedelta(seconds=5)
REPLAYED_PER_RUN = 20
NEVER_TOLD = re.compile("denied (IDEMPOTENCY_CONFLICT|INTERNAL)")
"""Each order has one body, and a part that is away is no error of the API."""
NOT_BOOKED = "0 times in the ledger"
_RUNNING = "ExecutionStatus = 'Running' AND WorkflowType IN ({})".format(
    ", ".join(f"'{name}'" for name in (*WORKFLOW_TYPES.values(), *EXECUTION_TYPES.values()))
)
Snapshot = OrderSnapshot | ArbitrageSnapshot


@dataclass(slots=True)
class Verdict:
    """What is wrong, by what it means, each with a sentence; `statuses`: how the orders ended."""

    duplicates: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    unfinished: dict[str, str] = field(default_factory=dict)
    ledger_differences: dict[str, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        return not self.sentences()

    def sentences(self) -> list[str]:
        """Everything that is wrong, one line each."""
        return [
            f"{name}: {subject}: {sentence}"
            for name in ("duplicates", "lost", "unfinished", "ledger_differences")
            for subject, sentence in getattr(self, name).items()
        ]

    def add(self, violation: Violation) -> None:
        """Put a violation of the checker where it belongs."""
        match violation.invariant:
            case Invariant.NO_DUPLICATE | Invariant.ALONE:
                found = self.duplicates
            case Invariant.NONE_LOST | Invariant.ENDED | Invariant.GUARD:
                found = self.unfinished
            case Invariant.NO_NAKED_LEG:
                found = self.lost
            case Invariant.FILLS_ONCE if violation.detail == NOT_BOOKED:
                found = self.lost
            case _:
                found = self.ledger_differences
        found[violation.subject] = f"{violation.invariant} {violation.detail}"


class Judge:
    """Judges one run after the other on one stack; a last fill may take a moment to be booked."""

    def __init__(self, settle_within_s: float = SETTLE_WITHIN_S) -> None:
        self._settle_within_s = settle_within_s
        self._seen: set[tuple[Invariant, str]] = set()

    async def judge(self, settings: Settings) -> Verdict:
        """What the exchange's log and the ledger say, less what an earlier run has counted."""
        verdict = Verdict()
        report = await check_settled(settings, all_finished=True, within_s=self._settle_within_s)
        assert report.venues, "no exchange has a log: nothing would be judged"
        for violation in report.violations:
            key = (violation.invariant, violation.subject)
            if key not in self._seen:
                self._seen.add(key)
                verdict.add(violation)
        return verdict


async def all_ended(world: World, within_s: float = END_WITHIN_S) -> list[str]:
    """Wait until no order is under way; the ids of those that are still."""
    deadline, running = time.monotonic() + within_s, ["the server did not answer"]
    while True:
        with suppress(RPCError):
            running = await _under_way(world)
        if not running or time.monotonic() > deadline:
            return running
        await asyncio.sleep(LOOK_EVERY_S)


async def _under_way(world: World) -> list[str]:
    found = world.temporal.list_workflows(_RUNNING, rpc_timeout=READ_WAIT)
    return [each.id async for each in found]


async def compare_with_told(
    world: World, told: Iterable[Told], running: Collection[str], verdict: Verdict
) -> None:
    """What callers were told, what Temporal holds and what the ledger holds must be one."""
    histories: list[WorkflowHistory] = []
    for each in told:
        if each.order_id in running:
            verdict.unfinished[each.order_id] = "its workflow still runs"
            verdict.statuses["unfinished"] += 1
            continue
        try:
            ended = await _end_of(world, each, verdict, histories)
        except RPCError as error:
            verdict.unfinished[each.order_id] = f"asked for its end: {error.message}"
            continue
        verdict.statuses[_told_end(each, ended)] += 1
        _compare(each, ended, await _stored(world, each), verdict)
    # the longest have seen most
    histories.sort(key=lambda history: len(history.events), reverse=True)
    await replay(histories[:REPLAYED_PER_RUN], verdict)


async def _stored(world: World, told: Told) -> Snapshot | None:
    if isinstance(told.order, PlannedArbitrage):
        found = await world.views.execution(told.order_id)
        if found is None or found.snapshot is None:
            return None
        return ArbitrageSnapshot.model_validate_json(found.snapshot)
    return await world.views.order(told.order_id)


def _told_end(told: Told, ended: Snapshot | str | None) -> str:
    kind = "arbitrage " if isinstance(told.order, PlannedArbitrage) else ""
    if ended is None:
        return f"{kind}never started"
    if isinstance(ended, str):
        return f"{kind}broke"
    return f"{kind}denied {ended.code}" if ended.code is not None else f"{kind}{ended.status}"


def _compare(
    told: Told, ended: Snapshot | str | None, stored: Snapshot | None, verdict: Verdict
) -> None:
    order_id, heard = told.order_id, sorted({text for _, text in told.verdicts})
    if any(NEVER_TOLD.match(text) for text in heard):
        verdict.ledger_differences[order_id] = f"told {heard}"
    if any(text.endswith(" INTERNAL") for text in told.steered):
        verdict.ledger_differences[order_id] = f"steered: {told.steered}"
    if isinstance(ended, OrderSnapshot) and _hides_a_lack_of_protection(ended):
        verdict.ledger_differences[order_id] = f"{ended.status} without a word: {ended.reason}"
    if ended is None:
        if told.is_promised:
            verdict.lost[order_id] = f"told {heard}, and Temporal has no end of it"
    elif isinstance(ended, str):
        verdict.lost[order_id] = f"its workflow broke: {ended}"
    elif ended.status is OrderStatus.FAILED:
        assert isinstance(ended, OrderSnapshot), "an arbitrage has statuses of its own"
        verdict.lost[order_id] = f"failed: {ended.reason}"
    elif stored is None:
        # what is denied before it was registered is not in the ledger
        if ended.status not in (OrderStatus.DENIED, ExecutionStatus.DENIED):
            verdict.lost[order_id] = f"{ended.status}, and not in the ledger"
    elif _figures(stored) != _figures(ended):
        verdict.ledger_differences[order_id] = (
            f"ledger {_figures(stored)}, workflow {_figures(ended)}"
        )


async def judge_triggers(world: World, plan: Plan, prices: PriceDiary, verdict: Verdict) -> None:
    """The triggers of a run that fired must have been reached by the market; counts them."""
    ours = {order.order_id for order in plan.orders}
    ledger = await read_ledger(world.stack.settings.dsn())
    watches = [each for each in ledger.watches if each.order_id in ours]
    logs = {venue: world.log(venue) for venue in world.controls}
    verdict.statuses["triggers fired"] += sum(each.fired is not None for each in watches)
    for watch_id, sentence in prices.unreached(watches, logs):
        verdict.ledger_differences[watch_id] = sentence


NOTHING_LEFT = "unused: no position is left to protect"


def _hides_a_lack_of_protection(ended: OrderSnapshot) -> bool:
    """A protective order that ended early must say what it leaves unprotected, if anything."""
    ended_early = ended.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED)
    has_rest = ended.quantity is not None and ended.filled_quantity < ended.quantity
    is_silent = "unprotected" not in ended.reason and not ended.reason.endswith(NOTHING_LEFT)
    return ended.stop is not None and ended_early and has_rest and is_silent


def _figures(snapshot: Snapshot) -> tuple[object, ...]:
    """What must be the same in the workflow's result and in the ledger."""
    if isinstance(snapshot, OrderSnapshot):
        return str(snapshot.status), snapshot.filled_quantity
    filled = {leg.order_id: leg.filled_amount for leg in snapshot.orders}
    return str(snapshot.status), snapshot.actual_profit, snapshot.residual_quantity, filled


async def _end_of(
    world: World, told: Told, verdict: Verdict, histories: list[WorkflowHistory]
) -> Snapshot | str | None:
    """The workflow's result, after a look at its history; None when there is no such workflow.

    A text when it broke: why.
    """
    is_arbitrage = isinstance(told.order, PlannedArbitrage)
    kind: type[Snapshot] = ArbitrageSnapshot if is_arbitrage else OrderSnapshot
    handle = world.temporal.get_workflow_handle(told.order_id, result_type=kind)
    try:
        histories.append(await handle.fetch_history(rpc_timeout=READ_WAIT))
        for cause in _failed_tasks(histories[-1]):
            verdict.unfinished[told.order_id] = f"a workflow task failed: {cause}"
        ended: Snapshot = await handle.result(rpc_timeout=READ_WAIT)
    except WorkflowFailureError as error:
        return str(error.cause)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return ended


async def replay(histories: Sequence[WorkflowHistory], verdict: Verdict) -> None:
    """What was decided between two deaths must be decided again from the history alone."""

    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in histories:
            yield history

    replayer = Replayer(
        workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=sandbox()
    )
    results = await replayer.replay_workflows(each(), raise_on_replay_failure=False)
    ids = {history.run_id: history.workflow_id for history in histories}
    for run_id, failure in results.replay_failures.items():
        verdict.unfinished[ids[run_id]] = f"its history does not replay: {failure}"


def _failed_tasks(history: WorkflowHistory) -> Iterator[str]:
    """Causes of failed workflow tasks: one that fails is tried again for ever."""
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            cause = WorkflowTaskFailedCause.Name(failed.cause)
            if cause not in HARMLESS_CAUSES:
                yield f"{cause} {failed.failure.message}"
