"""What the commands that steer and preview orders do: ask, show, and answer with an exit code.

Exit codes: 0 done or accepted, 1 the order refused it or has ended (a preview: the state of things
would deny it), 2 the input is wrong.
"""

import asyncio

from starters import cli_previews, cli_show, lookup
from starters.cli_actions import at_once, connected
from starters.cli_input import DONE, FAILED, exit_code_of_denial
from starters.errors import AlreadyTerminal, EffectPending, Refused
from workers.settings import Settings
from workflows.domain.denials import DenialCode
from workflows.messages import OrderRequest
from workflows.steering_messages import ActionKind, AmendRequest, SteerRequest


def steer(
    settings: Settings,
    kind: ActionKind,
    order_id: str,
    request: SteerRequest | AmendRequest,
    *,
    as_json: bool,
) -> int:
    """Pause, resume or amend the order, and show it. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            try:
                snapshot = await lookup.steer_order(connections, kind, order_id, request)
            except Refused as error:
                cli_show.complain(
                    cli_show.denial(error.denied.code, error.denied.field, str(error))
                )
                return exit_code_of_denial(error.denied.code)
            except AlreadyTerminal as error:
                cli_show.complain(f"{DenialCode.ALREADY_TERMINAL}: {error}")
                return FAILED
            except EffectPending as error:
                cli_show.complain(f"accepted: {error}")
                snapshot = error.snapshot
        cli_show.order(snapshot, settings, as_json=as_json)
        return DONE

    return at_once(run)


def preview(settings: Settings, request: OrderRequest, *, as_json: bool) -> int:
    """Show what the order would do. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            told = await (await connections.orders()).preview(request)
        cli_previews.preview(told, as_json=as_json)
        return DONE if told.accepted else exit_code_of_denial(told.code)

    return asyncio.run(run())
