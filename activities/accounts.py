"""The accounts that this engine trades with, and the refusal of any other."""

from collections.abc import Collection

from workflows.domain.denials import DenialCode, Denied


def unknown_account(
    accounts: Collection[tuple[str, str]], venue: str, account: str
) -> Denied | None:
    """Why this (venue, account) is refused; None for a configured one."""
    if (venue, account) in accounts:
        return None
    return unknown_venue(accounts, venue) or Denied(
        code=DenialCode.UNKNOWN_ENUM,
        field="account",
        detail=f"account is not configured at {venue}",
    )


def unknown_venue(accounts: Collection[tuple[str, str]], venue: str) -> Denied | None:
    """Why this venue is refused; None for a configured one."""
    venues = sorted({name for name, _ in accounts})
    if venue in venues:
        return None
    detail = f"exchange must be one of {', '.join(venues)}"
    return Denied(code=DenialCode.UNKNOWN_ENUM, field="exchange", detail=detail)
