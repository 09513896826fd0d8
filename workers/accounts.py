"""The configured accounts, and what the gateway of each needs to know.

Light: a process without workflows and queues uses it too.
"""

from dataclasses import replace

from activities.venues.ccxt_gateway import VenueConfig
from workers.settings import Settings


def accounts_of(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Every configured (venue, account)."""
    return tuple(
        (venue, account) for venue in settings.exchanges for account in settings.accounts(venue)
    )


def venue_config(settings: Settings, venue: str, account: str) -> VenueConfig:
    """What the gateway of one account needs to know."""
    known = settings.venue(venue, account)
    return VenueConfig(
        venue=venue,
        account=account,
        api_key=known.api_key.get_secret_value() if known.api_key else "",
        secret=known.secret.get_secret_value() if known.secret else "",
        passphrase=known.passphrase.get_secret_value() if known.passphrase else "",
        paper_url=known.paper_url,
        sandbox=known.sandbox,
        cancel_on_disconnect_s=known.cancel_on_disconnect_s,
        validity_window_ms=int(settings.validity_window_s * 1000),
        http_deadline_s=settings.http_deadline_s,
    )


def read_config(settings: Settings, venue: str, account: str) -> VenueConfig:
    """As `venue_config`, with the account's read-only key where it has one."""
    config, known = venue_config(settings, venue, account), settings.venue(venue, account)
    if known.read_api_key is None or known.read_secret is None:
        return config
    phrase = known.read_passphrase
    return replace(
        config,
        api_key=known.read_api_key.get_secret_value(),
        secret=known.read_secret.get_secret_value(),
        passphrase=phrase.get_secret_value() if phrase else config.passphrase,
    )
