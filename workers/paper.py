"""Who may trade at an embedded paper exchange.

Rule: each account has the credentials that its settings name, else random ones made once and kept
in DELTA_HOME, where the workers find them too.
"""

from activities.venues.simulator.config import PaperAccount
from workers.settings import DEFAULT_ACCOUNT, Settings, SettingsError
from workers.venue_settings import credentials_of


def paper_accounts(settings: Settings, venue: str) -> dict[str, PaperAccount]:
    """The accounts of a paper exchange by name. Raises SettingsError for live credentials."""
    if venue not in settings.exchanges:
        raise SettingsError("EXCHANGES", f"does not name {venue!r}")
    accounts = {}
    for account in settings.accounts(venue):
        if account == DEFAULT_ACCOUNT:
            settings.home.make()
            settings.home.ensure_venue_secrets(venue, account, credentials_of(venue))
        found = settings.venue(venue, account)
        if found.is_live or found.api_key is None or found.secret is None:
            raise SettingsError(f"{found.prefix}_API_KEY", "is a live venue's, not a paper one's")
        passphrase = found.passphrase
        accounts[account] = PaperAccount(
            api_key=found.api_key.get_secret_value(),
            secret=found.secret.get_secret_value(),
            passphrase="" if passphrase is None else passphrase.get_secret_value(),
        )
    return accounts
