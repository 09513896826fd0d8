"""How processes reach Temporal: TLS as the settings ask, and an error when nobody answers."""

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import TLSConfig

from workers import connection
from workers.settings import load_settings


def tls(**variables: str) -> TLSConfig | bool:
    return connection.tls_of(
        load_settings({name.upper(): text for name, text in variables.items()})
    )


def test_without_any_setting_there_is_no_tls() -> None:
    assert tls() is False
    assert tls(temporal_tls="false", temporal_address="temporal:7233") is False


def test_tls_can_be_switched_on_with_the_roots_of_the_system() -> None:
    assert tls(temporal_tls="true") is True


def test_an_api_key_is_never_sent_in_clear_text() -> None:
    assert tls(temporal_api_key="k") is True
    assert tls(temporal_api_key="k", temporal_tls="false") is True


def test_own_certificates_are_read_from_their_files(tmp_path: Path) -> None:
    paths = {}
    for part in ("client_cert", "client_key", "server_ca_cert"):
        path = tmp_path / f"{part}.pem"
        path.write_bytes(f"pem of the {part}\r\n".encode())
        paths[f"temporal_tls_{part}_path"] = str(path)
    config = tls(**paths, temporal_tls_server_name="temporal.example")
    assert config == TLSConfig(
        client_cert=b"pem of the client_cert\r\n",
        client_private_key=b"pem of the client_key\r\n",
        server_root_ca_cert=b"pem of the server_ca_cert\r\n",
        domain="temporal.example",
    )


def test_one_own_certificate_is_enough_for_tls(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(b"pem")
    config = tls(temporal_tls="false", temporal_tls_server_ca_cert_path=str(path))
    assert config == TLSConfig(server_root_ca_cert=b"pem")
    assert tls(temporal_tls_server_name="temporal.example") == TLSConfig(domain="temporal.example")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_server_that_does_not_answer_is_an_error_and_not_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", timedelta(milliseconds=300))
    settings = load_settings({"TEMPORAL_ADDRESS": f"127.0.0.1:{closed_port()}"})
    with pytest.raises(RuntimeError):
        await connection.connect(settings)
