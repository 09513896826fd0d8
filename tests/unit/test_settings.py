"""The settings: defaults, refusals in one line, secrets that stay secret, and .env.example."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.accounts import read_config, venue_config
from workers.settings import Settings, SettingsError, load_settings
from workers.venue_settings import as_text

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
PASSWORD = "hunter2-very-secret"


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value)


def test_with_nothing_set_two_paper_exchanges_on_loopback_are_configured():
    settings = load_settings({})
    assert [settings.venue(name).is_live for name in settings.exchanges] == [False, False]
    urls = [settings.venue(name).paper_url for name in settings.exchanges]
    assert urls == ["http://127.0.0.1:8101", "http://127.0.0.1:8102"]
    assert settings.temporal_target == "127.0.0.1:7233"


def test_an_empty_value_counts_as_unset():
    assert load_settings({"DATABASE_URL": "", "API_PORT": " "}) == load_settings({})


def test_money_is_decimal_and_exact():
    value = load_settings({"MAX_ORDER_VALUE": "0.1"}).max_order_value
    assert isinstance(value, Decimal)
    assert str(value) == "0.1"


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        load_settings({}).api_port = 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_PORT", "http"),
        ("API_PORT", "0"),
        ("API_PORT", "65536"),
        ("MAX_ORDER_VALUE", "NaN"),
        ("MAX_ORDER_VALUE", "Infinity"),
        ("MAX_ORDER_VALUE", "1e400"),
        ("MAX_POSITION_SIZE", "-1"),
        ("TWAP_DEFAULT_SLICES", "1.5"),
        ("EXCHANGES", "Binance"),
        ("EXCHANGES", ","),
        ("EXCHANGES", "binance,binance"),
        ("SYMBOLS", "BTCUSDT"),
        ("WORKER_COUNT", "0"),
        ("PAPER_CONTROL_PORT", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("API_HOST", "0.0.0.0"),
        ("METRICS_HOST", "::"),
        ("API_ALLOWED_IPS", "10.0.0.1/8"),
        ("API_TRUSTED_PROXIES", "proxy.example"),
        ("API_ALLOWED_HOSTS", "desk.example:8003"),
        ("API_ALLOWED_HOSTS", "*"),
        ("API_CORS_ORIGINS", "*"),
        ("API_CORS_ORIGINS", "https://desk.example/page"),
        ("API_CORS_ORIGINS", "desk.example"),
        ("API_TLS_CERT_PATH", "/nowhere/cert.pem"),
        ("API_TRADE_RATE", "-1"),
        ("PAYLOAD_ENCRYPTION_KEYS", "k1"),
        ("ALARM_WEBHOOK_URL_FILE", "/nowhere/hook"),
        ("ALARM_WEBHOOK_URL", "http://alarms.example/hook"),
        ("ALARM_WEBHOOK_URL", "https://"),
        ("ALARM_WEBHOOK_URL", "https://alarms.example:port/hook"),
        ("ALARM_WEBHOOK_URL", "https://alarms.example/a b"),
        ("ALARM_WEBHOOK_URL", "ftp://127.0.0.1/hook"),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("TEMPORAL_ADDRESS", "temporal"),
        ("REPLAY_TRADES", "/nowhere/trades.csv"),
        ("REPLAY_SPEED", "0"),
        ("SUBMIT_TIMEOUT_S", "6"),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", "/nowhere/key.pem"),
        ("DATABASE_URL_FILE", "/nowhere/secret"),
        ("EXCHANGE_BINANCE_RATE_LIMIT", "fast"),
        ("EXCHANGE_BINANCE_APIKEY", "k"),
        ("EXCHANGE_BINANCE_PAPER_URL", "127.0.0.1:8101"),
        ("EXCHANGE_BINANCE_SANDBOX", "true"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable(variable, value):
    text = refusal({variable: value})
    assert re.match(rf"{variable.removesuffix('_FILE')}(_FILE)?: \S", text)
    assert "\n" not in text


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"mysql://user:{PASSWORD}@db/x"},
        {"EXCHANGE_API_KEY": PASSWORD},
        {"EXCHANGE_BINANCE_SECRET": PASSWORD},
        {"ALARM_WEBHOOK_URL": f"http://alarms.example/{PASSWORD}"},
    ],
)
def test_a_refusal_never_shows_the_value_of_a_secret(environ):
    assert PASSWORD not in refusal(environ)


def test_secrets_do_not_show_when_the_settings_are_printed():
    environ = {
        "DATABASE_URL": f"postgresql://user:{PASSWORD}@db/x",
        "EXCHANGE_API_KEY": PASSWORD,
        "EXCHANGE_SECRET": PASSWORD,
        "TEMPORAL_API_KEY": PASSWORD,
        "ALARM_WEBHOOK_URL": f"https://alarms.example/{PASSWORD}",
    }
    assert PASSWORD not in repr(load_settings(environ))


def test_submissions_outlive_the_time_in_which_the_venue_may_still_execute_them():
    window = {"VALIDITY_WINDOW_S": "2", "SKEW_ALLOWANCE_S": "0.5"}
    assert "SUBMIT_TIMEOUT_S" in refusal({**window, "SUBMIT_TIMEOUT_S": "2.5"})
    settings = load_settings({**window, "SUBMIT_TIMEOUT_S": "2.6"})
    assert settings.submit_timeout_s == Decimal("2.6")


OUTSIDE = {"API_HOST": "0.0.0.0", "ALLOW_REMOTE": "true"}


def test_the_api_leaves_loopback_only_with_the_explicit_flag_and_tls_or_a_proxy(tmp_path):
    assert refusal(OUTSIDE).startswith("API_HOST: ")
    assert refusal({"API_HOST": "0.0.0.0", "API_TRUSTED_PROXIES": "10.0.0.1"}).startswith("API_HO")
    proxied = load_settings(OUTSIDE | {"API_TRUSTED_PROXIES": "10.0.0.1, fd00::/8"})
    assert proxied.api_trusted_proxies == ("10.0.0.1", "fd00::/8")
    assert proxied.api_url == "http://127.0.0.1:8003"
    files = {"API_TLS_CERT_PATH": tmp_path / "cert.pem", "API_TLS_KEY_PATH": tmp_path / "key.pem"}
    for path in files.values():
        path.write_text("pem")
        path.chmod(0o600)
    texts = {name: str(path) for name, path in files.items()}
    assert load_settings(OUTSIDE | texts).api_url == "https://127.0.0.1:8003"
    alone = OUTSIDE | {"API_TLS_CERT_PATH": texts["API_TLS_CERT_PATH"]}
    assert refusal(alone).startswith("API_TLS_KEY_PATH: ")
    files["API_TLS_KEY_PATH"].chmod(0o644)
    assert refusal(OUTSIDE | texts).startswith("API_TLS_KEY_PATH: ")


def test_a_secret_file_that_others_may_read_or_that_is_empty_is_refused(tmp_path):
    key = secret_file(tmp_path, PASSWORD)
    environ = {"TEMPORAL_API_KEY_FILE": str(key)}
    assert load_settings(environ).temporal_api_key is not None
    key.chmod(0o604)
    text = refusal(environ)
    assert text.startswith("TEMPORAL_API_KEY_FILE: ")
    assert PASSWORD not in text
    key.chmod(0o640)
    assert load_settings(environ).temporal_api_key is not None
    key.write_text(" \n")
    assert refusal(environ).startswith("TEMPORAL_API_KEY_FILE: ")


def test_a_generated_secret_that_others_may_read_is_refused(tmp_path):
    environ = {"DELTA_HOME": str(tmp_path / "home")}
    home = load_settings(environ).home
    home.make()
    path = home.ensure_secret("some-key")
    assert load_settings(environ).home == home
    path.chmod(0o644)
    text = refusal(environ)
    assert text.startswith("DELTA_HOME: ")
    assert path.read_text() not in text


@pytest.mark.parametrize("password", ["", "postgres", "Changeme", "ledger"])
def test_a_database_password_that_anybody_would_try_is_refused(password):
    url = f"postgresql://ledger:{password}@db/x"
    assert refusal({"DATABASE_URL": url}).startswith("DATABASE_URL: ")
    owner = {"DATABASE_URL": "postgresql://u@db/x", "DATABASE_OWNER_URL": url}
    assert refusal(owner).startswith("DATABASE_OWNER_URL: ")


def test_the_passwords_of_the_compose_set_up_must_be_long():
    short, long = "s" * 31, "s" * 32
    for password, is_refused in ((short, True), (long, False)):
        environ = {"POSTGRES_APP_PASSWORD": password}
        environ["DATABASE_URL"] = f"postgresql://delta_app:{password}@db/x"
        if is_refused:
            assert refusal(environ).startswith("POSTGRES_APP_PASSWORD: ")
        else:
            assert load_settings(environ).database_url is not None
    assert load_settings({"POSTGRES_APP_PASSWORD": short}) == load_settings({})


def test_the_plain_credentials_are_those_of_the_first_venue():
    settings = load_settings({"EXCHANGE_API_KEY": "k", "EXCHANGE_SECRET": "s"})
    venue = settings.venue("binance")
    assert venue.is_live
    assert venue.api_key is not None
    assert venue.api_key.get_secret_value() == "k"
    assert not settings.venue("okx").is_live


def secret_file(folder: Path, text: str) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_secret_can_be_read_from_a_file(tmp_path):
    key = secret_file(tmp_path, "from-file\n")
    environ = {"EXCHANGE_BINANCE_API_KEY_FILE": str(key)}
    venue = load_settings({**environ, "EXCHANGE_BINANCE_SECRET": "s"}).venue("binance")
    assert venue.api_key is not None
    assert venue.api_key.get_secret_value() == "from-file"


def test_a_secret_given_twice_is_refused(tmp_path):
    (tmp_path / "key").write_text("x")
    environ = {"TEMPORAL_API_KEY": "x", "TEMPORAL_API_KEY_FILE": str(tmp_path / "key")}
    assert refusal(environ).startswith("TEMPORAL_API_KEY_FILE: ")


def test_accounts_have_credentials_of_their_own_and_unknown_ones_are_refused():
    settings = load_settings(
        {
            "EXCHANGE_BINANCE_API_KEY": "k",
            "EXCHANGE_BINANCE_SECRET": "s",
            "EXCHANGE_BINANCE_HEDGE_API_KEY": "hk",
            "EXCHANGE_BINANCE_HEDGE_SECRET": "hs",
            "EXCHANGE_BINANCE_RATE_LIMIT": "5",
        }
    )
    assert settings.accounts("binance") == ("main", "hedge")
    hedge = settings.venue("binance", "hedge")
    assert hedge.secret is not None
    assert hedge.secret.get_secret_value() == "hs"
    assert hedge.rate_limit == Decimal(5)
    with pytest.raises(SettingsError):
        settings.venue("binance", "other")
    with pytest.raises(SettingsError):
        settings.venue("kraken")


def test_an_account_may_have_a_key_that_can_only_read_and_is_not_named_by_it():
    environ = {
        f"EXCHANGE_OKX_{name}": name.lower()
        for name in (
            *("API_KEY", "SECRET", "PASSPHRASE", "HEDGE_API_KEY", "HEDGE_SECRET"),
            *("HEDGE_PASSPHRASE", "READ_API_KEY", "READ_SECRET", "HEDGE_READ_API_KEY"),
            *("HEDGE_READ_SECRET", "HEDGE_READ_PASSPHRASE"),
        )
    }
    settings = load_settings(environ)
    assert settings.accounts("okx") == ("main", "hedge")
    main, hedge = (read_config(settings, "okx", name) for name in ("main", "hedge"))
    assert (main.api_key, main.secret, main.passphrase) == (
        *("read_api_key", "read_secret"),
        "passphrase",
    )
    assert hedge.passphrase == "hedge_read_passphrase"
    assert venue_config(settings, "okx", "main").api_key == "api_key"
    without = {key: value for key, value in environ.items() if "READ" not in key}
    assert read_config(load_settings(without), "okx", "hedge").api_key == "hedge_api_key"
    assert refusal({"EXCHANGE_OKX_READ_API_KEY": "k"}).startswith("EXCHANGE_OKX_READ_SECRET: ")


def test_a_venue_on_paper_is_on_paper_with_all_its_accounts():
    settings = load_settings(
        {"EXCHANGE_BINANCE_HEDGE_API_KEY": "hk", "EXCHANGE_BINANCE_HEDGE_SECRET": "hs"}
    )
    assert settings.venue("binance", "hedge").paper_url == "http://127.0.0.1:8101"


def test_a_postgresql_url_becomes_one_for_the_async_driver():
    settings = load_settings({"DATABASE_URL": "postgres://u:p@db:5432/x"})
    assert settings.dsn() == "postgresql+asyncpg://u:p@db:5432/x"


def test_without_a_database_and_without_a_local_stack_the_url_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        load_settings({"DELTA_HOME": str(tmp_path)}).dsn()


def test_a_child_process_gets_the_same_settings_from_its_environment(tmp_path):
    settings = load_settings(
        {
            "DELTA_HOME": str(tmp_path),
            "EXCHANGES": "binance,kraken",
            "MAX_ORDER_VALUE": "1234.50",
            "DATABASE_URL": f"postgresql://u:{PASSWORD}@db/x",
            "EXCHANGE_KRAKEN_API_KEY": "k",
            "EXCHANGE_KRAKEN_SECRET": "s",
            "EXCHANGE_BINANCE_PAPER_URL": "http://127.0.0.1:9",
            "TEMPORAL_TLS": "true",
        }
    )
    assert load_settings(settings.as_environ()) == settings


def test_the_environment_wins_over_the_env_file(tmp_path, monkeypatch):
    (tmp_path / "some.env").write_text("API_PORT=1111\nMETRICS_PORT=2222\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "some.env"))
    monkeypatch.setenv("API_PORT", "3333")
    settings = load_settings()
    assert (settings.api_port, settings.metrics_port) == (3333, 2222)


def example_lines() -> dict[str, str]:
    text = EXAMPLE.read_text(encoding="utf-8")
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", text, flags=re.MULTILINE))


def test_the_example_file_lists_every_setting_with_its_default():
    shown = {k: v for k, v in example_lines().items() if not k.startswith("EXCHANGE_")}
    fields = {k: f for k, f in Settings.model_fields.items() if k != "venues"}
    defaults = {name.upper(): as_text(field.default) or "" for name, field in fields.items()}
    defaults["DELTA_HOME"] = ".delta"
    for name in ("POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "PROMETHEUS_API_KEY"):
        del shown[name]  # docker compose reads them, we do not
    assert {k: v.lower() for k, v in shown.items()} == {k: v.lower() for k, v in defaults.items()}


def test_every_venue_variable_of_the_example_file_is_understood(tmp_path):
    values = {"RATE_LIMIT": "5", "SANDBOX": "false", "PAPER_URL": "http://127.0.0.1:1"}
    names = [name for name in example_lines() if name.startswith("EXCHANGE_BINANCE_")]
    assert len(names) > 5
    environ = {n: values.get(n.removeprefix("EXCHANGE_BINANCE_"), "text") for n in names}
    assert load_settings(environ).accounts("binance") == ("main", "hedge")


@pytest.mark.parametrize("url", ["https://alarms.example/hook", "http://127.0.0.1:9000/hook"])
def test_alarms_are_posted_over_https_or_to_this_machine(url):
    given = load_settings({"ALARM_WEBHOOK_URL": url}).alarm_webhook_url
    assert given is not None
    assert given.get_secret_value() == url
