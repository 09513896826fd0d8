"""The control port: rules and actions over HTTP and JSON, on loopback only.

Rule: whatever a user does wrong is a 400 with `{"error": one line}`. Nothing here is part of the
venue that is imitated, and nothing here is journaled.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from activities.venues.simulator.faults.box import FaultBox
from activities.venues.simulator.faults.options import FaultError, Options

HOST = "127.0.0.1"
LONGEST_WAIT_S = 60


class ControlPort:
    """The control interface of one box; `start` and `close` it in one event loop."""

    def __init__(self, box: FaultBox, port: int) -> None:
        self._box, self._port = box, port
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1)

    @property
    def url(self) -> str:
        """Where it listens; to be asked after `start`."""
        return f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()

    async def close(self) -> None:
        """Stop listening, and let go of all that is disturbed."""
        await self._box.close()
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_explained])
        app.router.add_get("/rules", self._list)
        app.router.add_post("/rules", self._add)
        app.router.add_delete("/rules/{id:[0-9]+}", self._remove)
        app.router.add_get("/rules/{id:[0-9]+}/held", self._held)
        app.router.add_post("/clear", self._clear)
        app.router.add_post("/release", self._release)
        app.router.add_post("/act", self._act)
        app.router.add_post("/seed", self._seed)
        return app

    async def _list(self, _: web.Request) -> web.Response:
        rules = self._box.rules.in_force()
        return web.json_response(
            [
                {"id": rule.id, "fault": rule.name, "seen": rule.seen, "hit": rule.hit}
                for rule in rules
            ]
        )

    async def _add(self, wire: web.Request) -> web.Response:
        asked = await _object(wire)
        rule = self._box.add(asked.required("fault"), asked.mapping("options"))
        asked.finish()
        return web.json_response({"id": rule.id})

    async def _remove(self, wire: web.Request) -> web.Response:
        self._box.rules.remove(int(wire.match_info["id"]))
        return web.json_response({})

    async def _held(self, wire: web.Request) -> web.Response:
        rule = self._box.rules.one(int(wire.match_info["id"]))
        within = wire.query.get("within_s", "10")
        try:
            within_s = min(max(float(within), 0.0), LONGEST_WAIT_S)
        except ValueError:
            raise FaultError("within_s must be a number of seconds") from None
        held = await self._box.holds.wait_for(rule.fault, within_s)
        if held is None:
            raise FaultError(f"rule {rule.id} held no request within {within_s:g} s")
        return web.json_response(
            {"id": held.id, "method": held.method, "path": held.path, "params": dict(held.params)}
        )

    async def _clear(self, _: web.Request) -> web.Response:
        self._box.clear()
        return web.json_response({})

    async def _release(self, wire: web.Request) -> web.Response:
        asked = await _object(wire)
        self._box.holds.release(asked.whole("id", None, low=1, high=10**18))
        asked.finish()
        return web.json_response({})

    async def _act(self, wire: web.Request) -> web.Response:
        asked = await _object(wire)
        told = self._box.act(asked.required("action"), asked.mapping("options"))
        asked.finish()
        return web.json_response(told)

    async def _seed(self, wire: web.Request) -> web.Response:
        asked = await _object(wire)
        self._box.rules.seed(asked.number("number", 0, low=0, high=2**63))
        asked.finish()
        return web.json_response({})


async def _object(wire: web.Request) -> Options:
    try:
        found: Any = json.loads(await wire.text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise FaultError("the body must be a JSON object")
    return Options(wire.path, found)


@web.middleware
async def _explained(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except FaultError as error:
        return web.json_response({"error": str(error)}, status=400)
