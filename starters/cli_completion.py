"""What the shell may complete: ids, names and choices. The scripts stand in `workers.shells`.

Rule: completing never complains and never waits long: what cannot be known now is no proposal.
"""

import asyncio
import typing
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starters.connections import Connections

WITHIN_S = 3.0
MOST = 100

Proposals = list[tuple[str, str]]
"""Each with a word about it."""
Proposer = Callable[[str], Proposals]


def order_ids(incomplete: str) -> Proposals:
    """The newest orders, those at work first."""

    async def read(connections: "Connections") -> Proposals:
        async with connections.ledger() as ledger:
            found, _ = await ledger.orders(limit=MOST, cursor=None)
        at_work_first = sorted(found, key=lambda each: each.status.is_terminal)
        told = ("order_type", "side", "symbol", "status")
        return [
            (each.order_id, " ".join(str(getattr(each, name) or "") for name in told))
            for each in at_work_first
        ]

    return _fitting(incomplete, _asked(read))


def running_order_ids(incomplete: str) -> Proposals:
    """The orders that can be steered."""

    async def read(connections: "Connections") -> Proposals:
        async with connections.ledger() as ledger:
            found, _ = await ledger.orders(is_open=True, limit=MOST, cursor=None)
        return [(each.order_id, f"{each.order_type} {each.side} {each.symbol}") for each in found]

    return _fitting(incomplete, _asked(read))


def arbitrage_ids(incomplete: str) -> Proposals:
    """The newest arbitrages."""

    async def read(connections: "Connections") -> Proposals:
        from starters.executions import list_executions
        from starters.kinds import ARBITRAGES

        found, _ = await list_executions(connections, ARBITRAGES, limit=MOST)
        return [(each.execution_id, each.status.value) for each in found]

    return _fitting(incomplete, _asked(read))


def rebalance_ids(incomplete: str) -> Proposals:
    """The newest rebalancings."""

    async def read(connections: "Connections") -> Proposals:
        from starters.executions import list_executions
        from starters.kinds import REBALANCES

        found, _ = await list_executions(connections, REBALANCES, limit=MOST)
        return [(each.execution_id, each.status.value) for each in found]

    return _fitting(incomplete, _asked(read))


def alarm_ids(incomplete: str) -> Proposals:
    """The alarms that are open."""

    async def read(connections: "Connections") -> Proposals:
        from starters.alarms import list_alarms

        page = await list_alarms(connections, acknowledged=False, limit=MOST, cursor=None)
        alarms = getattr(page, "alarms", [])
        return [(str(each.id), each.code) for each in alarms]

    return _fitting(incomplete, _asked(read))


def exchanges(incomplete: str) -> Proposals:
    """The configured exchanges."""
    return _of_settings(incomplete, "exchanges")


def symbols(incomplete: str) -> Proposals:
    """The configured symbols."""
    return _of_settings(incomplete, "symbols")


def order_states(incomplete: str) -> Proposals:
    """The states of orders."""
    from workflows.domain.lifecycle import OrderStatus

    return _fitting(incomplete, [(each.value, "") for each in OrderStatus])


def execution_states(incomplete: str) -> Proposals:
    """The states of executions."""
    from workflows.domain.executions import ExecutionStatus

    return _fitting(incomplete, [(each.value, "") for each in ExecutionStatus])


def field_values(name: str) -> Proposer:
    """What proposes the values of a field of an order; nothing for free text."""

    def choices(incomplete: str) -> Proposals:
        return _choices(name, incomplete)

    named: dict[str, Proposer] = {"exchange": exchanges, "symbol": symbols}
    return named.get(name, choices)


def _choices(name: str, incomplete: str) -> Proposals:
    """The values of a field with a closed set of them."""
    from workflows.messages import OrderRequest

    annotation = OrderRequest.model_fields[name].annotation
    kinds = [each for each in (annotation, *typing.get_args(annotation)) if _is_choice(each)]
    return _fitting(incomplete, [(value, "") for kind in kinds for value in kind])


def _is_choice(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _of_settings(incomplete: str, name: str) -> Proposals:
    from workers.settings import SettingsError, load_settings

    with suppress(SettingsError):
        return _fitting(incomplete, [(each, "") for each in getattr(load_settings(), name)])
    return []


def _asked(read: "Callable[[Connections], Awaitable[Proposals]]") -> Proposals:
    """What the ledger says within WITHIN_S, else nothing."""
    from starters.cli_actions import connected
    from starters.errors import DeltaError
    from workers.settings import SettingsError, load_settings

    async def run() -> Proposals:
        async with asyncio.timeout(WITHIN_S), connected(load_settings()) as connections:
            return await read(connections)

    with suppress(DeltaError, SettingsError, TimeoutError):
        return asyncio.run(run())
    return []


def _fitting(incomplete: str, proposals: Iterable[tuple[str, str]]) -> Proposals:
    return [each for each in proposals if each[0].startswith(incomplete)]
