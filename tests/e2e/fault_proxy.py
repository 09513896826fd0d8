"""A TCP proxy that breaks connections as networks do: the test holds the switches, in-process.

Each way of a connection is a pipe of its own. A closed pipe is a silent partition: bytes wait and
arrive after it opens, as retransmitted ones do. Loss is the delay of a retransmission and nothing
is reordered, because that is all that TCP lets an application see of either. A trap stops the
connection on which a byte pattern passes, and holds the bytes from there on.

It must not know protocols: who looks for a pattern inside of one gives it a reader of that.
"""

import asyncio
import random
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Protocol, Self

CHUNK = 65_536
REMEMBERED = 8_192
"""How far back a pattern may begin."""
RETRANSMISSION_S = 0.2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Reader(Protocol):
    """Makes the bytes of one way of one connection readable for a trap's pattern."""

    def feed(self, chunk: bytes) -> bytes: ...


class Verbatim:
    """The reader of a protocol that needs none."""

    def feed(self, chunk: bytes) -> bytes:
        return chunk


class Way(Enum):
    """A direction as the client sees it."""

    UP = auto()
    DOWN = auto()


@dataclass
class Weather:
    """What happens to all bytes that go one way."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    """Share of the chunks that are sent again after RETRANSMISSION_S."""
    vanishes: bool = False
    """Bytes are lost for good: the peer is gone and nobody said so (half-open)."""
    cut_after: int | None = None
    """Bytes that still pass before the connection is cut."""
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def delay_s(self) -> float:
        delay = self.latency_s + random.uniform(-self.jitter_s, self.jitter_s)
        return delay + (RETRANSMISSION_S if random.random() < self.loss else 0.0)


@dataclass
class Trap:
    """Once: `seen` passing `way` closes the pipe `holds` of that connection."""

    seen: re.Pattern[bytes]
    way: Way
    holds: Way
    hit: asyncio.Event = field(default_factory=asyncio.Event)
    held: bytearray = field(default_factory=bytearray)
    """What was held back; it never arrives."""


@dataclass(eq=False)
class Link:
    """One connection: both of its ends, and what passed last."""

    writers: dict[Way, asyncio.StreamWriter]
    readers: dict[Way, Reader]
    tails: dict[Way, bytes] = field(default_factory=lambda: dict.fromkeys(Way, b""))
    trapped: dict[Way, Trap] = field(default_factory=dict)

    def abort(self) -> None:
        """Reset both ends."""
        for writer in self.writers.values():
            sock = writer.get_extra_info("socket")
            if not writer.transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class FaultProxy:
    """Listens on a free loopback port and passes everything on to 127.0.0.1:`target`."""

    def __init__(self, target: int, reader: Callable[[], Reader] = Verbatim) -> None:
        self.target = target
        self._reader = reader
        self.port = 0
        self.refuses = False
        """New connections are reset at once, which is the loud kind of partition."""
        self.accepted = 0
        self.weather = {way: Weather() for way in Way}
        self.traps: list[Trap] = []
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.heal()
        self._server = await asyncio.start_server(self._own, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The switches

    def block(self, *ways: Way) -> None:
        """Silent partition of the given ways, or of both."""
        for way in ways or tuple(Way):
            self.weather[way].flows.clear()

    def refuse(self) -> None:
        """Loud partition: reset what is open and whatever comes."""
        self.refuses = True
        self.reset()

    def reset(self) -> None:
        """Reset all connections; new ones are welcome."""
        for link in tuple(self._links):
            link.abort()

    def lose_peer(self) -> None:
        """Half-open: the server's ends are cut, the clients are not told."""
        for way in Way:
            self.weather[way].vanishes = True
        for link in tuple(self._links):
            link.writers[Way.UP].transport.abort()

    def heal(self) -> None:
        """Normal again for what is sent from now on; a half-open connection stays dead."""
        half_open = any(weather.vanishes for weather in self.weather.values())
        for weather in self.weather.values():
            weather.latency_s = weather.jitter_s = weather.loss = 0.0
            weather.vanishes, weather.cut_after = False, None
            weather.flows.set()
        self.refuses = False
        if half_open:  # the first packet after the outage is answered with a reset
            self.reset()

    def trap(self, pattern: re.Pattern[bytes], way: Way, *, holds: Way | None = None) -> Trap:
        """Set a trap; it holds the way of the pattern unless told otherwise."""
        trap = Trap(pattern, way, holds or way)
        self.traps.append(trap)
        return trap

    # A connection

    def _own(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = Link({Way.DOWN: writer}, {way: self._reader() for way in Way})
        if self.refuses:
            link.abort()
            return
        try:
            far_reader, link.writers[Way.UP] = await asyncio.open_connection(
                "127.0.0.1", self.target
            )
            self._links.add(link)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, link, Way.UP))
                pumps.create_task(self._pump(far_reader, link, Way.DOWN))
        except* OSError:
            pass  # either end went away: so does the other
        finally:
            link.abort()
            self._links.discard(link)

    async def _pump(self, reader: asyncio.StreamReader, link: Link, way: Way) -> None:
        weather, writer = self.weather[way], link.writers[way]
        while chunk := await reader.read(CHUNK):
            self._spring(link, way, chunk)
            if trap := link.trapped.get(way):
                trap.held += chunk
                continue
            if delay_s := weather.delay_s():
                await asyncio.sleep(delay_s)
            await weather.flows.wait()
            if weather.vanishes:
                continue
            writer.write(chunk if weather.cut_after is None else chunk[: weather.cut_after])
            await writer.drain()
            if weather.cut_after is not None:
                weather.cut_after -= len(chunk)
                if weather.cut_after <= 0:
                    weather.cut_after = None
                    raise ConnectionResetError("cut")
        if way in link.trapped:
            raise ConnectionResetError("what is held never arrives")
        if not weather.vanishes:
            writer.write_eof()

    def _spring(self, link: Link, way: Way, chunk: bytes) -> None:
        recent = link.tails[way] + link.readers[way].feed(chunk)
        link.tails[way] = recent[-REMEMBERED:]
        for trap in [each for each in self.traps if each.way is way]:
            if trap.seen.search(recent):
                self.traps.remove(trap)
                link.trapped[trap.holds] = trap
                trap.hit.set()
