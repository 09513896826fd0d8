"""Every setting of every process: the only reader of the environment.

Rule: a process calls `load_settings()` once, gets one frozen `Settings` object or one line that
names the variable, and passes that object on. The names in the environment are the field names in
capitals. Durations are seconds, money is quote currency, both Decimal.

It must not know what the settings are used for, and it opens no connection. A part that is not
configured (TEMPORAL_ADDRESS, DATABASE_URL, the credentials of a venue) is the embedded one: its
address follows from the ports, its secret from the files that the local stack keeps in DELTA_HOME.
"""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from workers.edge_settings import EdgeSettings, Port, is_loopback
from workers.failpoint_rules import check_failpoints
from workers.home import Home
from workers.secret_files import MIN_SECRET_BYTES, open_secret_in, password_of, weakness_of
from workers.venue_settings import (
    DEFAULT_ACCOUNT,
    SettingsError,
    VenueSettings,
    as_text,
    credentials_of,
    file_secret,
    parse_venues,
)
from workflows.domain.schedules import MAX_SLICES

__all__ = [
    "DEFAULT_ACCOUNT",
    "Settings",
    "SettingsError",
    "VenueSettings",
    "is_setting",
    "load_settings",
]

Seconds = Annotated[Decimal, Field(gt=0, le=31_536_000)]
QuoteValue = Annotated[Decimal, Field(gt=0, le=Decimal("1e15"))]

# Variables that may also be given as NAME_FILE, the path of a file that holds the value.
SECRET_FIELDS = (
    "database_url",
    "database_owner_url",
    "database_reader_url",
    "temporal_api_key",
    "alarm_webhook_url",
)
NOT_SUPPORTED = {
    "payload_encryption_keys": "this version does not encrypt what Temporal stores",
    "worker_build_id": "this version does not use Temporal's worker versioning",
}
"""Refused rather than ignored: whoever sets one of them relies on it."""
_COMPOSE_PASSWORDS = ("postgres_password", "postgres_app_password")
"""No settings of ours, but we see them where one of them is in a database's URL."""


class Settings(EdgeSettings):
    """One validated, frozen object; see .env.example for what each setting means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # What is traded
    exchanges: tuple[str, ...] = ("binance", "okx")
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    venues: Mapping[tuple[str, str], VenueSettings] = {}

    # Defaults and limits of orders
    twap_default_slices: int = Field(default=10, ge=1, le=MAX_SLICES)
    twap_default_interval: Seconds = Decimal(60)
    iceberg_default_visible_ratio: Decimal = Field(default=Decimal("0.1"), gt=0, le=1)
    max_order_value: QuoteValue = Decimal(100_000)
    max_position_size: QuoteValue = Decimal(500_000)
    order_timeout: Seconds = Decimal(30)
    accept_timeout: Seconds = Decimal(10)

    # The order protocol
    validity_window_s: Seconds = Decimal(5)
    skew_allowance_s: Decimal = Field(default=Decimal(1), ge=0, le=60)
    http_deadline_s: Seconds = Decimal(6)
    submit_timeout_s: Seconds = Decimal(8)
    read_lag_s: Decimal = Field(default=Decimal(10), ge=0, le=3600)
    trades_every_s: Decimal = Field(default=Decimal(10), ge=1, le=20)
    sync_every_s: Annotated[Decimal, Field(ge=1, le=31_536_000)] = Decimal(60)

    # Where things are
    delta_home: Path = Path(".delta")
    database_url: SecretStr | None = None
    database_owner_url: SecretStr | None = None
    database_reader_url: SecretStr | None = None
    postgres_port: Port = 5433
    temporal_address: str | None = None
    temporal_namespace: str = Field(default="default", min_length=1)
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    temporal_ui_url: str | None = None
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    temporal_tls_client_cert_path: Path | None = None
    temporal_tls_client_key_path: Path | None = None
    temporal_tls_server_ca_cert_path: Path | None = None
    temporal_tls_server_name: str | None = None

    # Processes
    worker_count: int = Field(default=3, ge=1, le=64)
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=1, le=65_000)] = 9464
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    exec_failpoints: str | None = None
    alarm_webhook_url: SecretStr | None = None

    # The paper exchanges
    paper_port: Annotated[int, Field(ge=1, le=65_000)] = 8101
    paper_control_port: Annotated[int, Field(ge=1, le=65_000)] | None = None
    paper_seed: int = Field(default=7, ge=0)
    replay_trades: Path | None = None
    replay_speed: Decimal = Field(default=Decimal(1), gt=0, le=10_000)

    @field_validator("exchanges", "symbols", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @field_validator("exchanges", "symbols")
    @classmethod
    def _some_and_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("must be a comma-separated list of distinct names, at least one")
        return value

    @field_validator("exchanges")
    @classmethod
    def _exchange_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if not re.fullmatch(r"[a-z][a-z0-9]{0,31}", name)]:
            raise ValueError(f"{bad[0]!r} is not the name of a ccxt exchange class")
        return value

    @field_validator("symbols")
    @classmethod
    def _spot_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in value if not re.fullmatch(r"[A-Z0-9]+/[A-Z0-9]+", name)]:
            raise ValueError(f"{bad[0]!r} is not a unified spot symbol such as BTC/USDT")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url", "database_owner_url", "database_reader_url")
    @classmethod
    def _asyncpg_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+asyncpg"):
            raise ValueError("must start with postgresql:// (PostgreSQL is the only database)")
        return SecretStr(f"postgresql+asyncpg://{rest}")

    @field_validator("temporal_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\S+:\d{1,5}", value):
            raise ValueError("must be HOST:PORT")
        return value

    @field_validator("alarm_webhook_url")
    @classmethod
    def _private_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_private(value.get_secret_value()):
            raise ValueError("must be an https:// address (http:// only to this machine)")
        return value

    @field_validator("replay_trades")
    @classmethod
    def _readable_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("is not a file")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Rules between settings; the message begins with the variable that must change."""
        if self.submit_timeout_s <= self.validity_window_s + self.skew_allowance_s:
            raise SettingsError(
                "SUBMIT_TIMEOUT_S", "must be more than VALIDITY_WINDOW_S + SKEW_ALLOWANCE_S"
            )
        for name in ("database_owner_url", "database_reader_url"):
            if getattr(self, name) is not None and self.database_url is None:
                raise SettingsError(name.upper(), "needs DATABASE_URL beside it")
        if not self.allow_remote and not is_loopback(self.metrics_host):
            raise SettingsError(
                "METRICS_HOST", "is not a loopback address; ALLOW_REMOTE=true is needed for that"
            )
        if (self.temporal_tls_client_cert_path is None) != (
            self.temporal_tls_client_key_path is None
        ):
            raise SettingsError(
                "TEMPORAL_TLS_CLIENT_KEY_PATH",
                "and TEMPORAL_TLS_CLIENT_CERT_PATH must be set together",
            )
        return self

    @property
    def home(self) -> Home:
        """The files that the local stack keeps in DELTA_HOME."""
        return Home(self.delta_home.absolute())

    @property
    def temporal_target(self) -> str:
        """HOST:PORT of Temporal's front end: TEMPORAL_ADDRESS, else the embedded server's."""
        return self.temporal_address or f"127.0.0.1:{self.temporal_port}"

    @property
    def temporal_ui(self) -> str:
        """Base URL of Temporal's pages, for links."""
        return self.temporal_ui_url or f"http://127.0.0.1:{self.temporal_ui_port}"

    def dsn(self) -> str:
        """The ledger's SQLAlchemy URL (asyncpg): DATABASE_URL, else the embedded server's.

        Its user is the engine's, who changes no schema and deletes no books. Raises SettingsError
        when neither is there.
        """
        return self._dsn_of(None, "delta_app")

    def owner_dsn(self) -> str:
        """As `dsn`, for who migrates: DATABASE_OWNER_URL, else as the others."""
        return self._dsn_of(self.database_owner_url, None)

    def reader_dsn(self) -> str:
        """As `dsn`, for who only reads: DATABASE_READER_URL, else as the others."""
        return self._dsn_of(self.database_reader_url, "delta_ro")

    def _dsn_of(self, own: SecretStr | None, role: str | None) -> str:
        given = own or self.database_url
        if given is not None:
            return given.get_secret_value()
        password = self.home.postgres_password(role)
        if password is None:
            raise SettingsError(
                "DATABASE_URL", "is not set and no embedded PostgreSQL exists: python -m workers up"
            )
        user, port = role or "delta", self.postgres_port
        return f"postgresql+asyncpg://{user}:{password}@127.0.0.1:{port}/delta"

    def as_environ(self) -> dict[str, str]:
        """What was set, as variables for a child process, which reads no file besides."""
        names = self.model_fields_set - {"venues"}
        values = {name.upper(): as_text(getattr(self, name)) for name in names}
        for venue in self.venues.values():
            values |= venue.as_environ()
        return {"ENV_FILE": os.devnull} | {k: v for k, v in values.items() if v is not None}

    def paper_port_of(self, name: str) -> int:
        """The port of a venue's embedded paper exchange."""
        return self.paper_port + self.exchanges.index(name)

    def paper_control_port_of(self, name: str) -> int | None:
        """Where the faults of a venue's embedded paper exchange are set; None: nowhere."""
        first = self.paper_control_port
        return None if first is None else first + self.exchanges.index(name)

    def accounts(self, name: str) -> tuple[str, ...]:
        """The accounts of a venue that have settings of their own; `main` always exists."""
        named = [account for venue, account in self.venues if venue == name]
        return tuple(dict.fromkeys([DEFAULT_ACCOUNT, *named]))

    def venue(self, name: str, account: str = DEFAULT_ACCOUNT) -> VenueSettings:
        """How to reach one account of one venue.

        A venue whose main account has no credentials is the local stack's paper exchange, for all
        of its accounts. Raises SettingsError for a venue outside EXCHANGES or an account without
        credentials.
        """
        if name not in self.exchanges:
            raise SettingsError("EXCHANGES", f"does not name {name!r}")
        if account not in self.accounts(name):
            variable = f"EXCHANGE_{name}_{account}_API_KEY".upper()
            raise SettingsError(variable, "is not set: the account has no credentials")
        known = self.venues.get((name, account)) or VenueSettings(name=name, account=account)
        main = self.venues.get((name, DEFAULT_ACCOUNT))
        if known.is_live and main is not None and main.is_live:
            return known
        url = f"http://127.0.0.1:{self.paper_port_of(name)}"
        secrets = self.home.venue_secrets(name, account, credentials_of(name))
        return known.on_paper(url, secrets)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings once.

    Without `environ` they come from the process environment over the file that ENV_FILE names
    (default `.env`), where it exists; an empty value counts as unset. Raises SettingsError, whose
    text is one line: the variable and the reason, never the value of a secret.
    """
    given = _process_environment() if environ is None else environ
    found = {name.lower(): value for name, value in given.items() if value.strip()}
    for name, reason in NOT_SUPPORTED.items():
        if name in found or f"{name}_file" in found:
            raise SettingsError(name.upper(), f"{reason}; unset it")
    values: dict[str, object] = {
        name: found[name] for name in Settings.model_fields if name in found and name != "venues"
    }
    for name in SECRET_FIELDS:
        if secret := file_secret(name, found):
            values[name] = secret
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _one_line(error) from None
    venues = parse_venues(settings.exchanges, found)
    complete = settings.model_copy(update={"venues": venues})
    check_failpoints(complete)
    _check_secrets(complete, found)
    return complete


def _check_secrets(settings: Settings, found: Mapping[str, str]) -> None:
    """Refuse secrets of our own that are none."""
    open_file = open_secret_in(settings.home.secrets)
    if open_file is not None:
        raise SettingsError("DELTA_HOME", f"{open_file} may be read by others: chmod 600")
    for name in ("database_url", "database_owner_url", "database_reader_url"):
        url: SecretStr | None = getattr(settings, name)
        if url is None:
            continue
        if reason := weakness_of(url.get_secret_value()):
            raise SettingsError(name.upper(), reason)
        for variable in _COMPOSE_PASSWORDS:
            password = found.get(variable)
            if password is not None and password == password_of(url.get_secret_value()):
                _check_length(variable, password)


def _check_length(variable: str, password: str) -> None:
    if len(password.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(variable.upper(), f"must have at least {MIN_SECRET_BYTES} characters")


def is_setting(variable: str) -> bool:
    """True if `load_settings` would read the variable."""
    name = variable.lower()
    return (
        name.removesuffix("_file") in Settings.model_fields
        or name.startswith("exchange_")
        or name == "env_file"
    )


def _process_environment() -> dict[str, str]:
    process = EnvSettingsSource(BaseSettings).env_vars
    env_file = Path(process.get("env_file") or ".env")
    file = DotEnvSettingsSource(BaseSettings, env_file=env_file).env_vars
    return {name: value for name, value in {**file, **process}.items() if value is not None}


def _one_line(error: ValidationError) -> SettingsError:
    """The first error; the value itself is left out, as it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    variable = str(first["loc"][0]).upper() if first["loc"] else "settings"
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return SettingsError(variable, " ".join(reason.split()))


def _is_private(address: str) -> bool:
    """True for a URL whose calls nobody on the way can read."""
    try:
        url = urlsplit(address)
        host, _port = url.hostname, url.port
    except ValueError:
        return False
    if not host or not address.isascii() or not address.isprintable() or " " in address:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
