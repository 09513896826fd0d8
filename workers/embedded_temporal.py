"""The embedded Temporal server: the dev server of the Temporal CLI, tuned, on a durable file.

Rule: loopback only; closed workflows are kept for 30 days; the search attributes are registered by
the time it is called healthy. The server's defaults add about 50 ms to each hop and round short
timers up to a second, hence the dynamic configuration.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from workers import search_attributes

RETENTION = timedelta(days=30)
DYNAMIC_CONFIG: dict[str, int | str] = {
    "history.transferProcessorMaxPollRPS": 5000,
    "history.timerProcessorMaxPollRPS": 5000,
    "history.visibilityProcessorMaxPollRPS": 5000,
    "history.timerProcessorMaxTimeShift": "10ms",
    # One partition: rate limits and priorities hold per partition.
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
}
# A kill during the very first start leaves a file that the server itself cannot repair.
HALF_MADE = "no such table"


def binary() -> Path:
    """The `temporal` program, installed beside the interpreter."""
    return Path(sys.executable).with_name("temporal")


def argv(*, port: int, ui_port: int, namespace: str, db: Path) -> tuple[str, ...]:
    """The server's command line."""
    command = [str(binary()), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)]
    command += ["--ui-port", str(ui_port), "--ui-disable-news-fetch", "--namespace", namespace]
    command += ["--log-level", "warn", "--db-filename", str(db)]
    command += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]
    for name in search_attributes.NAMES:
        command += ["--search-attribute", f"{name}=Keyword"]
    return (*command, *tuning_arguments())


def tuning_arguments() -> tuple[str, ...]:
    """The options that make a dev server as fast as a production one."""
    pairs = (f"{key}={json.dumps(value)}" for key, value in DYNAMIC_CONFIG.items())
    return tuple(word for pair in pairs for word in ("--dynamic-config-value", pair))


def came_up(db: Path) -> Path:
    """The mark beside a file that a server has once served from."""
    return db.with_name(db.name + ".came-up")


async def forget_half_made(db: Path, logged: str) -> None:
    """Delete a file whose first start was killed; never one that a server has served from."""
    if HALF_MADE in logged and not came_up(db).exists():
        for suffix in ("", "-wal", "-shm"):
            db.with_name(db.name + suffix).unlink(missing_ok=True)


async def ready(*, address: str, namespace: str, db: Path) -> bool:
    """True once the namespace answers, keeps its history long enough and knows our attributes."""
    try:
        client = await Client.connect(address, namespace=namespace)
        await keep_closed_workflows(client)
        if await search_attributes.missing(client):
            return False
    except (RPCError, RuntimeError):  # not reachable yet, or the namespace is not there yet
        return False
    came_up(db).touch()
    return True


async def keep_closed_workflows(client: Client) -> None:
    """Set the namespace's retention where it is shorter; raises RPCError."""
    if await retention(client) >= RETENTION:
        return
    duration = Duration()
    duration.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(workflow_execution_retention_ttl=duration),
        )
    )


async def retention(client: Client) -> timedelta:
    """How long the namespace keeps closed workflows; raises RPCError."""
    answer = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()
