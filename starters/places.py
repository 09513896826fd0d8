"""Whether a venue and an account are configured: asked before anything is connected."""

from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied


def known_account(settings: Settings, exchange: str, account: str) -> Denied | None:
    """Denied for a venue or an account that is not configured."""
    places = {"exchange": (exchange, settings.exchanges)}
    if exchange in settings.exchanges:
        places["account"] = (account, settings.accounts(exchange))
    for field, (given, known) in places.items():
        if given not in known:
            detail = f"{field} must be one of {', '.join(known)}"
            return Denied(code=DenialCode.UNKNOWN_ENUM, field=field, detail=detail)
    return None
