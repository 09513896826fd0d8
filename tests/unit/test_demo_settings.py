"""What the demo takes over from the user's settings, and what it never touches."""

import socket
from decimal import Decimal

from starters.demo_settings import CONTROL_PORT, REPLAY_SPEED, SEED, demo_settings, on_free_ports
from workers.settings import load_settings
from workers.stack_parts import embedded_venues


def test_the_demo_never_trades_live_and_never_uses_another_engine(tmp_path):
    live = load_settings(
        {
            "DELTA_HOME": str(tmp_path),
            "EXCHANGES": "binance,okx",
            "EXCHANGE_API_KEY": "live-key",
            "EXCHANGE_SECRET": "live-secret",
            "DATABASE_URL": "postgresql://somebody@db.example/ledger",
            "TEMPORAL_ADDRESS": "temporal.example:7233",
            "TEMPORAL_NAMESPACE": "production",
            "ALLOW_REMOTE": "true",
            "API_HOST": "0.0.0.0",
            "API_TRUSTED_PROXIES": "10.0.0.1",
        }
    )
    assert live.venue("binance").is_live
    chosen = demo_settings(live)
    assert embedded_venues(chosen) == chosen.exchanges
    assert not any(chosen.venue(venue).is_live for venue in chosen.exchanges)
    assert chosen.database_url is None
    assert (chosen.temporal_address, chosen.temporal_namespace) == (None, "default")
    assert chosen.api_host == "127.0.0.1"
    assert chosen.home.root == tmp_path / "demo"
    variables = str(chosen.as_environ())
    assert "live-" not in variables
    assert ".example" not in variables


def test_ports_and_protocol_figures_are_taken_over(tmp_path):
    given = load_settings(
        {"DELTA_HOME": str(tmp_path), "API_PORT": "28003", "VALIDITY_WINDOW_S": "0.5"}
    )
    chosen = demo_settings(given)
    assert (chosen.api_port, chosen.validity_window_s) == (28003, Decimal("0.5"))


def test_faults_can_be_asked_for_and_the_market_is_the_demo_s_unless_settings_say_otherwise(
    tmp_path,
):
    given = {"DELTA_HOME": str(tmp_path)}
    chosen = demo_settings(load_settings(given))
    assert (chosen.paper_control_port, chosen.paper_seed) == (CONTROL_PORT, SEED)
    given |= {"PAPER_CONTROL_PORT": "28103", "PAPER_SEED": "42"}
    chosen = demo_settings(load_settings(given))
    assert (chosen.paper_control_port, chosen.paper_seed) == (28103, 42)


def test_a_replay_runs_at_the_demo_s_pace_unless_one_is_given(tmp_path):
    tape = tmp_path / "tape.csv"
    tape.write_text("symbol,timestamp,side,price,amount\n")
    given = {"DELTA_HOME": str(tmp_path), "REPLAY_TRADES": str(tape)}
    assert demo_settings(load_settings(given)).replay_speed == REPLAY_SPEED
    given["REPLAY_SPEED"] = "3"
    assert demo_settings(load_settings(given)).replay_speed == 3


def test_a_taken_control_port_moves_with_those_of_all_exchanges(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        given = load_settings({"DELTA_HOME": str(tmp_path), "PAPER_CONTROL_PORT": str(port - 1)})
        chosen, in_use = on_free_ports(demo_settings(given))
    assert (port, "PAPER_CONTROL_PORT") in [(each.port, each.setting) for each in in_use]
    ports = {chosen.paper_control_port_of(venue) for venue in chosen.exchanges}
    assert port not in ports
    assert len(ports) == 2
    assert not ports & {chosen.paper_port_of(venue) for venue in chosen.exchanges}


def test_a_taken_port_is_named_and_another_one_used_with_its_neighbours(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        given = load_settings({"DELTA_HOME": str(tmp_path), "PAPER_PORT": str(port - 1)})
        chosen, in_use = on_free_ports(demo_settings(given))
    assert (port, "PAPER_PORT") in [(each.port, each.setting) for each in in_use]
    ports = {chosen.paper_port_of(venue) for venue in chosen.exchanges}
    assert port not in ports
    assert len(ports) == 2
