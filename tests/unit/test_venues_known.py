"""Which venues the settings take, live and on paper."""

import re
from pathlib import Path

import pytest

from activities.venues.ccxt_gateway import VenueConfig, open_gateway
from activities.venues.dialects import DIALECTS
from activities.venues.simulator.config import DIALECTS as DIALECTS_ON_PAPER
from activities.venues.simulator.config import PaperExchangeConfig
from workers.paper import paper_accounts
from workers.paper_dialects import PAPER_DIALECTS
from workers.settings import SettingsError, load_settings
from workers.stack_parts import StackParts
from workers.venue_settings import (
    LIVE_VENUES,
    PAPER_VENUES,
    PASSPHRASE_VENUES,
    SANDBOX_VENUES,
    TIMER_VENUES,
    credentials_of,
)


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
    assert set(TIMER_VENUES) == {n for n, row in DIALECTS.items() if row.cancel_all_after}


def test_every_venue_on_paper_is_played_in_a_dialect_that_the_paper_exchange_speaks() -> None:
    assert {each.name for each in PAPER_DIALECTS.values()} == set(DIALECTS_ON_PAPER)


@pytest.mark.parametrize("name", PAPER_VENUES)
def test_a_paper_venue_gets_all_credentials_that_its_accounts_need(
    name: str, tmp_path: Path
) -> None:
    settings = load_settings({"DELTA_HOME": str(tmp_path), "EXCHANGES": name})
    (account,) = paper_accounts(settings, name).values()
    assert bool(account.passphrase) == (name in PASSPHRASE_VENUES)
    told = settings.venue(name)
    assert told.api_key is not None
    assert told.api_key.get_secret_value() == account.api_key
    again = load_settings({"DELTA_HOME": str(tmp_path), "EXCHANGES": name})
    assert paper_accounts(again, name) == {"main": account}
    (part,) = StackParts(settings, ["paper"]).parts()
    files = {given for given in part.env if re.fullmatch("EXCHANGE_.*_FILE", given)}
    assert files == {f"EXCHANGE_{name}_{what}_FILE".upper() for what in credentials_of(name)}
    PaperExchangeConfig(
        name=name,
        data_dir=tmp_path,
        dialect=PAPER_DIALECTS[name].name,
        accounts={"main": account},
    )


def test_credentials_of_ones_own_on_paper_need_the_passphrase_too() -> None:
    own = {"EXCHANGES": "okx", "EXCHANGE_OKX_PAPER_URL": "http://127.0.0.1:9"}
    own |= {"EXCHANGE_OKX_API_KEY": "k", "EXCHANGE_OKX_SECRET": "s"}
    with pytest.raises(SettingsError, match="EXCHANGE_OKX_PASSPHRASE: is not set"):
        load_settings(own)
    found = load_settings({**own, "EXCHANGE_OKX_PASSPHRASE": "p"}).venue("okx")
    assert found.passphrase is not None
    assert not found.is_live


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


@pytest.mark.parametrize("name", LIVE_VENUES)
def test_a_timer_is_taken_exactly_where_the_venue_has_one(name: str, tmp_path: Path) -> None:
    variable = f"EXCHANGE_{name.upper()}_CANCEL_ON_DISCONNECT_S"
    given = {"DELTA_HOME": str(tmp_path), **live(name), variable: "60"}
    if name in TIMER_VENUES:
        assert load_settings(given).venue(name).cancel_on_disconnect_s == 60
    else:
        with pytest.raises(SettingsError, match=f"{variable}: is set, but {name} has no such"):
            load_settings(given)


@pytest.mark.parametrize("seconds", ["9", "121", "1.5", "off"])
def test_a_timer_runs_for_ten_seconds_to_two_minutes(seconds: str, tmp_path: Path) -> None:
    given = {"DELTA_HOME": str(tmp_path), **live("okx")}
    with pytest.raises(SettingsError, match="EXCHANGE_OKX_CANCEL_ON_DISCONNECT_S"):
        load_settings({**given, "EXCHANGE_OKX_CANCEL_ON_DISCONNECT_S": seconds})


def test_a_timer_is_of_one_account_alone(tmp_path: Path) -> None:
    given = {"DELTA_HOME": str(tmp_path), **live("okx")}
    given["EXCHANGE_OKX_CANCEL_ON_DISCONNECT_S"] = "60"
    hedge = {f"EXCHANGE_OKX_HEDGE_{what}": "s" for what in ("SECRET", "PASSPHRASE")}
    own = load_settings({**given, **hedge, "EXCHANGE_OKX_HEDGE_API_KEY": "other"})
    assert own.venue("okx", "hedge").cancel_on_disconnect_s is None
    with pytest.raises(SettingsError, match="another account trades with the same key"):
        load_settings({**given, **hedge, "EXCHANGE_OKX_HEDGE_API_KEY": "k"})


def test_a_gateway_with_a_timer_that_the_venue_lacks_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no timer"):
        open_gateway(
            VenueConfig(
                venue="binance",
                account="main",
                api_key="k",
                secret="s",
                cancel_on_disconnect_s=60,
            )
        )
