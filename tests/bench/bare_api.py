"""What the API is compared with: one route of FastAPI that starts a workflow that does nothing.

`python -m tests.bench.bare_api PORT HOST:PORT NAMESPACE` serves it until SIGTERM, with the server
that the API runs on.
"""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from temporalio.client import Client

from tests.bench import bare


def app_of(address: str, namespace: str) -> FastAPI:
    """The application; it answers when the start of its workflow is durable."""

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        app.state.temporal = await Client.connect(address, namespace=namespace)
        yield

    app = FastAPI(lifespan=connected)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/orders", status_code=201)
    async def orders(body: dict[str, Any]) -> dict[str, str]:
        name = f"bench-bare-api-{uuid.uuid4().hex}"
        await app.state.temporal.start_workflow(bare.BareOrder.run, id=name, task_queue=bare.QUEUE)
        return {"order_id": name}

    return app


if __name__ == "__main__":
    uvicorn.run(app_of(*sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
