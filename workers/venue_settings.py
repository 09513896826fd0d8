"""The settings of venues: EXCHANGE_<NAME>_<WHAT> and EXCHANGE_<NAME>_<ACCOUNT>_<WHAT>.

Rule: a variable that begins with the name of a configured venue and is not understood is refused,
since a misspelled credential would silently trade on paper. EXCHANGE_API_KEY, EXCHANGE_SECRET and
EXCHANGE_PASSPHRASE belong to the first venue of EXCHANGES. It knows no process and no connection.
"""

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from workers.paper_dialects import PAPER_DIALECTS
from workers.secret_files import is_open_to_others

DEFAULT_ACCOUNT = "main"
PAPER_VENUES = tuple(PAPER_DIALECTS)
"""Venues whose protocol the paper exchange speaks."""
LIVE_VENUES = ("binance", "binanceus", "bybit", "coinbase", "gate", "kraken", "kucoin", "okx")
PASSPHRASE_VENUES = ("kucoin", "okx")
SANDBOX_VENUES = ("binance", "bybit", "gate", "okx")
TIMER_VENUES = ("gate", "kraken", "okx")
"""Venues with a timer that cancels every order of an account unless it is set anew."""
# The dialect table says the same; reading it here would load ccxt into every process.
CREDENTIALS = ("api_key", "secret", "passphrase")
READ_CREDENTIALS = ("read_api_key", "read_secret", "read_passphrase")
"""Of a key that can only read, for the drop copy; unset: the account's own."""
_PLAIN = ("rate_limit", "sandbox", "paper_url")
_OF_ACCOUNT = ("cancel_on_disconnect_s",)
_SECRETS = (*CREDENTIALS, *READ_CREDENTIALS)
_WHAT = "|".join([f"{name}(?:_file)?" for name in _SECRETS] + [*_PLAIN, *_OF_ACCOUNT])


class SettingsError(Exception):
    """A setting is wrong or missing: one line with the variable and the reason."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable}: {reason}")
        self.variable = variable


class VenueSettings(BaseModel):
    """One account of one venue; secrets print as asterisks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    account: str = DEFAULT_ACCOUNT
    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    passphrase: SecretStr | None = None
    read_api_key: SecretStr | None = None
    read_secret: SecretStr | None = None
    read_passphrase: SecretStr | None = None
    rate_limit: Decimal | None = Field(default=None, gt=0, le=10_000)
    """Order calls per second for the whole fleet; None: no limit of ours."""
    sandbox: bool = False
    """Use the venue's public test network."""
    cancel_on_disconnect_s: int | None = Field(default=None, ge=10, le=120)
    """The venue cancels every order of the account if it is not heard of for so long."""
    paper_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+$")
    """Base URL of a paper exchange that stands in for the venue."""

    @property
    def is_live(self) -> bool:
        """True when orders go to the real exchange (or to its test network)."""
        return self.api_key is not None and self.paper_url is None

    @property
    def prefix(self) -> str:
        """How the names of this account's variables begin."""
        return _prefix(self.name, self.account).upper()

    def as_environ(self) -> dict[str, str]:
        """The variables that would give this object again."""
        names = [name for name in VenueSettings.model_fields if name not in ("name", "account")]
        values = {f"{self.prefix}_{name.upper()}": as_text(getattr(self, name)) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def on_paper(self, url: str, secrets: tuple[SecretStr, ...] | None) -> "VenueSettings":
        """The same account at a paper exchange; what is configured wins over `url`, `secrets`.

        `secrets` are its credentials in the order of `credentials_of`.
        """
        update: dict[str, object] = {"paper_url": self.paper_url or url}
        if self.api_key is None and secrets is not None:
            update |= dict(zip(credentials_of(self.name), secrets, strict=True))
        return self.model_copy(update=update)


def credentials_of(venue: str) -> tuple[str, ...]:
    """The credentials that a venue's accounts sign in with."""
    return CREDENTIALS if venue in PASSPHRASE_VENUES else CREDENTIALS[:2]


def as_text(value: object) -> str | None:
    """A setting's value the way a variable writes it; None where it is unset."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def file_secret(name: str, found: Mapping[str, str]) -> str | None:
    """The value of `name`, read from the file that NAME_FILE names where that is set."""
    path = found.get(f"{name}_file")
    if path is None:
        return found.get(name)
    variable = f"{name}_file".upper()
    if name in found:
        raise SettingsError(variable, f"and {name.upper()} are both set")
    try:
        is_open, text = is_open_to_others(Path(path)), Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(variable, "cannot be read as a text file") from None
    if is_open:
        raise SettingsError(variable, "names a file that others may read: chmod 600")
    if not text.strip():
        raise SettingsError(variable, "names an empty file")
    return text.strip()


def parse_venues(
    exchanges: tuple[str, ...], found: Mapping[str, str]
) -> dict[tuple[str, str], VenueSettings]:
    """All venues and accounts that `found` (lower-case names) configures.

    Raises SettingsError for an unknown variable of a configured venue, for half a credential, and
    for a venue that this version does not know or cannot play on paper.
    """
    values: dict[tuple[str, str], dict[str, str]] = {}
    for name in exchanges:
        for variable in sorted(found):
            if variable.startswith(f"exchange_{name}_"):
                account, what = _split(variable, name)
                values.setdefault((name, account), {})[what] = found[variable]
    _add_default_venue(values, exchanges[0], found)
    for (name, account), given in values.items():
        if account != DEFAULT_ACCOUNT:  # a venue's plain settings hold for all of its accounts
            main = values.get((name, DEFAULT_ACCOUNT), {})
            given.update({w: main[w] for w in _PLAIN if w in main and w not in given})
    venues = {key: _venue(key, given) for key, given in values.items()}
    for name in exchanges:
        _check_known(name, venues.get((name, DEFAULT_ACCOUNT)))
    for venue in venues.values():
        _check_timer(venue, venues.values())
    return venues


def _check_timer(venue: VenueSettings, all_venues: Collection[VenueSettings]) -> None:
    """A timer cancels whatever the account has: it must be one that the venue has, and no key of
    another account may share it."""
    if venue.cancel_on_disconnect_s is None:
        return
    variable = f"{venue.prefix}_CANCEL_ON_DISCONNECT_S"
    if venue.name not in TIMER_VENUES:
        raise SettingsError(variable, f"is set, but {venue.name} has no such timer")
    keys = [each.api_key for each in all_venues if each.name == venue.name]
    if venue.api_key is not None and keys.count(venue.api_key) > 1:
        raise SettingsError(variable, "is set, but another account trades with the same key")


def _check_known(name: str, main: VenueSettings | None) -> None:
    """A venue must have a dialect, and on paper one that the paper exchange speaks."""
    if name not in LIVE_VENUES:
        raise SettingsError("EXCHANGES", f"{name!r} is not one of {', '.join(LIVE_VENUES)}")
    if name in PAPER_VENUES or (main is not None and main.is_live):
        return
    paper = f"the paper exchange stands in for {', '.join(PAPER_VENUES)} only"
    if main is not None and main.paper_url is not None:
        raise SettingsError(f"{main.prefix}_PAPER_URL", f"is set, but {paper}")
    variable = f"{_prefix(name, DEFAULT_ACCOUNT)}_api_key".upper()
    raise SettingsError(variable, f"is not set, and {paper}")


def _prefix(name: str, account: str) -> str:
    return f"exchange_{name}" + ("" if account == DEFAULT_ACCOUNT else f"_{account}")


def _split(variable: str, name: str) -> tuple[str, str]:
    match = re.fullmatch(rf"exchange_{name}_(?:(?!read_)([a-z0-9_]+?)_)?({_WHAT})", variable)
    if match is None:
        raise SettingsError(variable.upper(), "is not a setting")
    return match.group(1) or DEFAULT_ACCOUNT, match.group(2)


def _add_default_venue(
    values: dict[tuple[str, str], dict[str, str]], first: str, found: Mapping[str, str]
) -> None:
    for what in [*CREDENTIALS, *(f"{name}_file" for name in CREDENTIALS)]:
        if (variable := f"exchange_{what}") in found:
            values.setdefault((first, DEFAULT_ACCOUNT), {}).setdefault(what, found[variable])


def _venue(key: tuple[str, str], given: dict[str, str]) -> VenueSettings:
    name, account = key
    prefix = _prefix(name, account)
    full = {f"{prefix}_{what}": value for what, value in given.items()}
    fields: dict[str, object] = {
        what: given[what] for what in (*_PLAIN, *_OF_ACCOUNT) if what in given
    }
    for what in _SECRETS:
        fields[what] = file_secret(f"{prefix}_{what}", full)
    try:
        venue = VenueSettings.model_validate({"name": name, "account": account, **fields})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable = f"{prefix}_{first['loc'][0]}".upper()
        raise SettingsError(variable, first["msg"].removeprefix("Input ")) from None
    for key_name, secret_name in (CREDENTIALS[:2], READ_CREDENTIALS[:2]):
        if (fields[key_name] is None) != (fields[secret_name] is None):
            missing = key_name if fields[key_name] is None else secret_name
            raise SettingsError(f"{prefix}_{missing}".upper(), "is not set, but its counterpart is")
    if venue.api_key is not None and name in PASSPHRASE_VENUES and venue.passphrase is None:
        raise SettingsError(f"{prefix}_passphrase".upper(), f"is not set, and {name} needs it")
    if venue.sandbox and name not in SANDBOX_VENUES:
        raise SettingsError(f"{prefix}_sandbox".upper(), f"is set, but {name} has no test network")
    if venue.sandbox and not venue.is_live:
        raise SettingsError(f"{prefix}_sandbox".upper(), "needs credentials and no paper URL")
    if account != DEFAULT_ACCOUNT and venue.api_key is None:
        raise SettingsError(f"{prefix}_api_key".upper(), "is not set: an account needs its own")
    return venue
