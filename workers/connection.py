"""How every process of ours reaches Temporal: one converter, one set of options."""

from datetime import timedelta
from pathlib import Path

from temporalio.client import Client, TLSConfig
from temporalio.runtime import Runtime

from workers.settings import Settings
from workflows.payloads import DATA_CONVERTER

CONNECT_TIMEOUT = timedelta(seconds=10)


async def connect(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """A client of the namespace that the settings name. Raises RuntimeError if unreachable."""
    key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_target,
        namespace=settings.temporal_namespace,
        api_key=key.get_secret_value() if key else None,
        tls=tls_of(settings),
        data_converter=DATA_CONVERTER,
        runtime=runtime,
        connect_timeout=CONNECT_TIMEOUT,
    )


def tls_of(settings: Settings) -> TLSConfig | bool:
    """TLS as the settings ask for it: off, with the system's roots, or with own certificates."""
    own = (
        settings.temporal_tls_client_cert_path,
        settings.temporal_tls_client_key_path,
        settings.temporal_tls_server_ca_cert_path,
        settings.temporal_tls_server_name,
    )
    if not any(own):
        return settings.temporal_tls or settings.temporal_api_key is not None
    return TLSConfig(
        client_cert=_content(settings.temporal_tls_client_cert_path),
        client_private_key=_content(settings.temporal_tls_client_key_path),
        server_root_ca_cert=_content(settings.temporal_tls_server_ca_cert_path),
        domain=settings.temporal_tls_server_name,
    )


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None
