"""The paper exchange as a server: wires an exchange to its dialect and runs it.

Rule: all of one exchange lives in one event loop and one process. It listens on loopback unless
told otherwise, stops gracefully on SIGTERM and SIGINT, and stops with an error when the journal can
no longer be written or the market fails: half an exchange is worse than none.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from activities.venues.simulator.config import PaperAccount, PaperExchangeConfig
from activities.venues.simulator.faces import face_of
from activities.venues.simulator.faults.box import FaultBox
from activities.venues.simulator.faults.control import ControlPort
from activities.venues.simulator.journal import JournalError
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import NoFaults, RequestHooks
from activities.venues.simulator.stream_seam import StreamHooks, UndisturbedStream

__all__ = [
    "JournalError",
    "PaperAccount",
    "PaperExchangeConfig",
    "RunningExchange",
    "running",
    "serve",
]

MAX_BODY_BYTES = 64 * 1024
SHUTDOWN_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExchange:
    """A served exchange. `base_url` is what a client's session maps the real hosts to.

    `control_url` is where its faults are set, None where there are none.
    """

    base_url: str
    port: int
    exchange: PaperExchange
    market: "asyncio.Task[None]"
    control_url: str | None = None


@contextlib.asynccontextmanager
async def running(
    config: PaperExchangeConfig, hooks: RequestHooks | None = None
) -> AsyncIterator[RunningExchange]:
    """Serve `config` inside the caller's event loop; all is closed when the block ends.

    `hooks` disturb requests in place of the control port's faults. Raises OSError if a port is
    taken, JournalError if the data folder is in use or damaged, ValueError if the replay file is
    bad.
    """
    exchange = PaperExchange(config)
    async with contextlib.AsyncExitStack() as opened:
        opened.callback(exchange.close)
        requests, streams, control_url = await _disturbances(exchange, opened)
        face = face_of(exchange, hooks or requests, streams, MAX_BODY_BYTES)
        runner = web.AppRunner(face.app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        opened.push_async_callback(runner.cleanup)
        opened.push_async_callback(face.close_streams)
        await runner.setup()
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
        port = runner.addresses[0][1]
        market = asyncio.create_task(exchange.run_market(), name=f"market of {config.name}")
        opened.push_async_callback(_cancelled, market)
        yield RunningExchange(
            base_url=f"http://{config.host}:{port}",
            port=port,
            exchange=exchange,
            market=market,
            control_url=control_url,
        )


async def _disturbances(
    exchange: PaperExchange, opened: contextlib.AsyncExitStack
) -> tuple[RequestHooks, StreamHooks, str | None]:
    """The hooks of the control port's faults, and its address; undisturbed ones without a port."""
    port = exchange.config.control_port
    if port is None:
        return NoFaults(), UndisturbedStream(), None
    box = FaultBox(exchange)
    control = ControlPort(box, port)
    opened.push_async_callback(control.close)
    await control.start()
    return box, box.stream, control.url


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def serve(
    config: PaperExchangeConfig, on_ready: Callable[[RunningExchange], None] | None = None
) -> None:
    """Run the exchange until SIGTERM or SIGINT. Raises what `running` raises, and what broke it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(config) as served:
            if on_ready is not None:
                on_ready(served)
            await _until_over(served, stop)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _until_over(served: RunningExchange, stop: asyncio.Event) -> None:
    """Return when told to stop; raise when the market or the journal failed."""
    told = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(served.exchange.broken.wait())
    try:
        waiting: list[asyncio.Task[object]] = [told, broken, served.market]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        broken.cancel()
    if served.exchange.broken.is_set():
        raise JournalError("the journal can no longer be written")
    if served.market.done():
        served.market.result()
