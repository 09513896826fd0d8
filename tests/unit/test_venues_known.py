"""Which venues the settings take, live and on paper."""

import pytest

from activities.venues.ccxt_gateway import VenueConfig, open_gateway
from activities.venues.dialects import DIALECTS
from workers.settings import SettingsError, load_settings
from workers.venue_settings import LIVE_VENUES, PAPER_VENUES, PASSPHRASE_VENUES, SANDBOX_VENUES


def live(name: str, **more: str) -> dict[str, str]:
    """Settings that name the venue and give it credentials."""
    prefix = f"EXCHANGE_{name.upper()}"
    given = {f"{prefix}_API_KEY": "k", f"{prefix}_SECRET": "s", f"{prefix}_PASSPHRASE": "p"}
    return {"EXCHANGES": name, **given, **more}


def test_the_settings_know_the_venues_that_have_a_dialect() -> None:
    assert set(LIVE_VENUES) == set(DIALECTS)
    assert set(PAPER_VENUES) == {name for name, row in DIALECTS.items() if row.is_on_paper}
    assert set(SANDBOX_VENUES) == {name for name, row in DIALECTS.items() if row.sandbox_hosts}
    assert set(PASSPHRASE_VENUES) == {n for n, row in DIALECTS.items() if row.needs_passphrase}


@pytest.mark.parametrize("name", LIVE_VENUES)
def test_every_venue_is_taken_live(name: str) -> None:
    assert load_settings(live(name)).venue(name).is_live


@pytest.mark.parametrize("name", sorted(set(LIVE_VENUES) - set(PAPER_VENUES)))
def test_a_venue_that_the_paper_exchange_does_not_speak_is_not_played_on_paper(name: str) -> None:
    with pytest.raises(SettingsError, match=f"EXCHANGE_{name.upper()}_API_KEY: is not set, and"):
        load_settings({"EXCHANGES": name})
    paper_url = {f"EXCHANGE_{name.upper()}_PAPER_URL": "http://127.0.0.1:9"}
    with pytest.raises(SettingsError, match=f"EXCHANGE_{name.upper()}_PAPER_URL: is set, but"):
        load_settings(live(name, **paper_url))


@pytest.mark.parametrize("name", PASSPHRASE_VENUES)
def test_a_passphrase_is_asked_for_where_the_venue_needs_one(name: str) -> None:
    without = {k: v for k, v in live(name).items() if not k.endswith("_PASSPHRASE")}
    with pytest.raises(SettingsError, match="_PASSPHRASE: is not set"):
        load_settings(without)
    with pytest.raises(ValueError, match="passphrase"):
        open_gateway(VenueConfig(venue=name, account="main", api_key="k", secret="s"))


@pytest.mark.parametrize("name", LIVE_VENUES)
def test_a_sandbox_is_taken_where_there_is_one(name: str) -> None:
    wanted = live(name, **{f"EXCHANGE_{name.upper()}_SANDBOX": "true"})
    if name in SANDBOX_VENUES:
        assert load_settings(wanted).venue(name).sandbox
        return
    with pytest.raises(SettingsError, match="_SANDBOX: is set, but"):
        load_settings(wanted)


def test_a_venue_without_a_dialect_is_refused_with_the_list_of_those_that_have_one() -> None:
    with pytest.raises(SettingsError, match="EXCHANGES: 'bitfinex' is not one of binance"):
        load_settings(live("bitfinex"))
