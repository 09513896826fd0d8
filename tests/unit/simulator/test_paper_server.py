"""The server as a whole: it ends with an error rather than run on half broken."""

import asyncio
from pathlib import Path

import pytest

from activities.venues.simulator.config import PaperAccount, PaperExchangeConfig
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.server import JournalError, RunningExchange, serve

WAIT_S = 5.0


def config(data_dir: Path, **changes: object) -> PaperExchangeConfig:
    account = PaperAccount(api_key="a-key", secret="a-secret")
    given = {"name": "binance", "data_dir": data_dir, "accounts": {"main": account}}
    return PaperExchangeConfig(**(given | changes))


async def test_a_market_that_fails_ends_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: PaperExchange, elapsed_s: float) -> None:
        raise ArithmeticError("no price")

    monkeypatch.setattr(PaperExchange, "step", fails)
    with pytest.raises(ArithmeticError, match="no price"):
        await asyncio.wait_for(serve(config(tmp_path)), WAIT_S)


async def test_a_journal_that_cannot_be_written_ends_the_server(tmp_path: Path) -> None:
    def breaks(served: RunningExchange) -> None:
        served.exchange.broken.set()

    with pytest.raises(JournalError):
        await asyncio.wait_for(serve(config(tmp_path, live_market=False), breaks), WAIT_S)


async def test_a_taken_port_is_an_os_error_and_frees_the_data_folder(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(OSError, match="address already in use"):
        await serve(config(tmp_path, port=port))
    taken.close()
    await taken.wait_closed()
    PaperExchange(config(tmp_path)).close()


@pytest.mark.parametrize(
    "changes",
    [{"dialect": "okx"}, {"accounts": {}}, {"speed": 0}, {"speed": float("nan")}],
)
def test_a_bad_setting_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"dialect|account|speed"):
        config(tmp_path, **changes)


def test_secrets_do_not_show_when_the_configuration_is_printed(tmp_path: Path) -> None:
    shown = repr(config(tmp_path))
    assert "a-secret" not in shown
    assert "a-key" not in shown
