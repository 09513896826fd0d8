"""Where failpoints may be armed: in a local engine on paper, and nowhere else.

Rule: EXEC_FAILPOINTS is refused at the start of every process as soon as one venue is live or one
address is not on this machine, so that no setting left behind can kill an engine that trades.
"""

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from activities import failpoints
from workers.venue_settings import SettingsError

if TYPE_CHECKING:
    from workers.settings import Settings

VARIABLE = "EXEC_FAILPOINTS"


def check_failpoints(settings: "Settings") -> None:
    """Raise SettingsError when failpoints are asked for and not understood, or not allowed."""
    if settings.exec_failpoints is None:
        return
    if reason := _production_sign(settings):
        raise SettingsError(VARIABLE, f"is for tests on this machine only: {reason}")
    try:
        failpoints.ArmedFailpoints(settings.exec_failpoints, settings.home.failpoints)
    except (ValueError, OSError) as error:
        raise SettingsError(VARIABLE, str(error)) from None


def arm_failpoints(settings: "Settings") -> None:
    """Arm this process with what the settings ask for."""
    check_failpoints(settings)
    failpoints.arm(settings.exec_failpoints, settings.home.failpoints)


def _production_sign(settings: "Settings") -> str | None:
    """What speaks against a local engine on paper."""
    if settings.allow_remote:
        return "ALLOW_REMOTE is set"
    for venue in settings.exchanges:
        for account in settings.accounts(venue):
            known = settings.venue(venue, account)
            if known.is_live or known.paper_url is None:
                return f"{venue}/{account} is live"
            if not _is_here(known.paper_url):
                return f"{venue}/{account} is not on this machine"
    if not _is_here(f"//{settings.temporal_target}"):
        return "TEMPORAL_ADDRESS is not on this machine"
    if settings.database_url is not None and not _is_here(settings.dsn()):
        return "DATABASE_URL is not on this machine"
    return None


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
