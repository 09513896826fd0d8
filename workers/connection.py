"""How every process of ours reaches Temporal: one converter, one set of options."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import Runtime

from workers.settings import Settings
from workflows.payloads import DATA_CONVERTER

CONNECT_TIMEOUT = timedelta(seconds=10)


async def connect(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """A client of the namespace that the settings name. Raises RuntimeError if unreachable."""
    return await Client.connect(
        settings.temporal_target,
        namespace=settings.temporal_namespace,
        data_converter=DATA_CONVERTER,
        runtime=runtime,
        connect_timeout=CONNECT_TIMEOUT,
    )
