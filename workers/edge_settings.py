"""The settings of the HTTP API's edge: where it listens, to whom, how often, and how it is private.

Rule: nothing is open by mistake. An address that other machines reach needs ALLOW_REMOTE and a
private way to it: TLS of its own, or a proxy that the settings name. A pattern that would let
everybody in is refused. It knows no socket.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

from workers.secret_files import is_open_to_others
from workers.venue_settings import SettingsError

Port = Annotated[int, Field(ge=1, le=65535)]
PerSecond = Annotated[int, Field(ge=0, le=100_000)]
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_LOOPBACK_NAMES = ("localhost",)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class EdgeSettings(BaseModel):
    """A part of `workers.settings.Settings`."""

    allow_remote: bool = False
    api_host: str = "127.0.0.1"
    api_port: Port = 8003
    api_allowed_ips: tuple[str, ...] = ()
    api_allowed_hosts: tuple[str, ...] = ()
    api_trusted_proxies: tuple[str, ...] = ()
    api_cors_origins: tuple[str, ...] = ()
    api_tls_cert_path: Path | None = None
    api_tls_key_path: Path | None = None
    api_trade_rate: PerSecond = 20
    api_read_rate: PerSecond = 50

    @field_validator(
        "api_allowed_ips",
        "api_allowed_hosts",
        "api_trusted_proxies",
        "api_cors_origins",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @field_validator("api_allowed_ips", "api_trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                ipaddress.ip_network(text)
            except ValueError:
                raise ValueError(
                    f"{text!r} is not an address or network such as 10.0.0.0/8"
                ) from None
        return value

    @field_validator("api_allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [host for host in value if not _HOST.fullmatch(host)]:
            raise ValueError(f"{bad[0]!r} is not a host name or address, without a port")
        return value

    @field_validator("api_cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [origin for origin in value if not _is_origin(origin)]:
            raise ValueError(f"{bad[0]!r} is not an origin such as https://desk.example")
        return value

    @field_validator("api_tls_cert_path", "api_tls_key_path")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("is not a file")
        return value

    @model_validator(mode="after")
    def _is_private(self) -> Self:
        """Rules between these settings; the message begins with the variable that must change."""
        if (self.api_tls_cert_path is None) != (self.api_tls_key_path is None):
            raise SettingsError("API_TLS_KEY_PATH", "and API_TLS_CERT_PATH must be set together")
        if self.api_tls_key_path is not None and is_open_to_others(self.api_tls_key_path):
            raise SettingsError("API_TLS_KEY_PATH", "may be read by others: chmod 600")
        if is_loopback(self.api_host):
            return self
        if not self.allow_remote:
            raise SettingsError(
                "API_HOST", "is not a loopback address; ALLOW_REMOTE=true is needed for that"
            )
        if self.api_tls_cert_path is None and not self.api_trusted_proxies:
            raise SettingsError(
                "API_HOST",
                "is not a loopback address; it needs API_TLS_CERT_PATH and API_TLS_KEY_PATH, or a"
                " proxy with TLS in API_TRUSTED_PROXIES",
            )
        return self

    @property
    def is_api_local(self) -> bool:
        """True when only this machine reaches the API."""
        return is_loopback(self.api_host)

    @property
    def api_url(self) -> str:
        """Base URL of the HTTP API as seen from this machine."""
        host = _ANY.get(self.api_host, self.api_host)
        scheme = "http" if self.api_tls_cert_path is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.api_port}"


def is_loopback(host: str) -> bool:
    """True for a name or address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def _is_origin(text: str) -> bool:
    """True for scheme, host and port as a browser writes them, and nothing else."""
    try:
        url = urlsplit(text)
        host, _port = url.hostname, url.port
    except ValueError:
        return False
    is_plain = host is not None and _HOST.fullmatch(host) and text == f"{url.scheme}://{url.netloc}"
    return bool(is_plain) and url.scheme in ("http", "https") and "@" not in url.netloc
