"""The container set-up: valid, the local stack's commands, no default secrets, loopback only."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from workers import embedded_temporal
from workers.settings import is_setting, load_settings
from workers.stack_parts import COMMANDS, StackParts

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "data" / "compose-spec.json"
KIND_OF_SERVICE = {
    "migrate": "migrate",
    "worker": "worker",
    "drop-copy": "drop-copy",
    "api": "api",
    "paper-binance": "paper",
    "paper-okx": "paper",
}
ONE_SHOT = {"migrate", "temporal-schema", "temporal-namespace"}
NO_CHECK = {*ONE_SHOT, "temporal-ui"}  # its image has no program that could ask
SECRET_NAME = re.compile("PASSWORD|PWD|SECRET|API_KEY|PASSPHRASE|DATABASE_URL")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(compose) -> dict[str, Any]:
    return compose["services"]


def test_the_file_obeys_the_compose_schema(compose):
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(compose)


def test_the_schema_refuses_what_compose_does_not_know(compose):
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    wrong = {**compose, "services": {"api": {"image": "x", "comand": ["y"]}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(wrong)


@pytest.mark.parametrize(("service", "kind"), KIND_OF_SERVICE.items())
def test_each_service_runs_the_local_stacks_command(services, service, kind):
    command = tuple(services[service]["command"])
    assert command[: len(COMMANDS[kind])] == COMMANDS[kind]


def test_all_commands_of_the_local_stack_are_there():
    assert set(KIND_OF_SERVICE.values()) == set(COMMANDS)


@pytest.mark.parametrize("venue", ["binance", "okx"])
def test_paper_exchanges_get_the_options_of_the_local_stack(services, venue, tmp_path):
    settings = load_settings({"DELTA_HOME": str(tmp_path)})
    settings.home.make()
    (part,) = [p for p in StackParts(settings, ["paper"]).parts() if p.name == f"paper-{venue}"]
    pairs = part.argv[len(COMMANDS["paper"]) :]
    expected = {f"{name}={value}" for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    given = set(services[f"paper-{venue}"]["command"][len(COMMANDS["paper"]) :])
    assert given - expected == {"--host=0.0.0.0", f"--data=/var/lib/delta/paper/{venue}"}
    assert expected - given == {f"--data={settings.home.paper_data(venue)}"}


def test_every_variable_that_we_are_given_is_a_setting(services):
    for service in KIND_OF_SERVICE:
        unknown = [name for name in services[service]["environment"] if not is_setting(name)]
        assert unknown == []


def test_the_settings_of_each_service_are_valid(services):
    for service in KIND_OF_SERVICE:
        environ = {k: filled_in(v) for k, v in environment(services[service])}
        settings = load_settings(environ)
        for venue in settings.exchanges:
            assert settings.venue(venue).api_key is not None


def filled_in(value: str) -> str:
    """As compose would with a .env that sets only what it must."""
    return re.sub(r"\$\{[^}]*\}", "x", re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value))


def environment(service: dict[str, Any]) -> list[tuple[str, str]]:
    return list(service.get("environment", {}).items())


def test_no_secret_has_a_default(services):
    for service in services.values():
        for name, value in environment(service):
            if SECRET_NAME.search(name):
                assert re.search(r"\$\{[A-Z_]+:\?[^}]+\}", value), name


def test_every_port_is_on_loopback(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_image_has_an_exact_version(services):
    for service in services.values():
        assert re.search(r":v?\d+\.\d+(\.\d+)?[\w.-]*$", service["image"]), service["image"]
    base = re.search(r"^FROM (\S+)$", dockerfile(), flags=re.MULTILINE)
    assert base is not None
    assert re.search(r":\d+\.\d+\.\d+", base.group(1))


def test_every_lasting_service_has_a_health_check_and_comes_back(services):
    for name, service in services.items():
        assert name in NO_CHECK or "healthcheck" in service, name
        assert service["restart"] == ("on-failure" if name in ONE_SHOT else "unless-stopped")


def test_workers_can_be_scaled(services):
    assert not {"container_name", "ports"} & set(services["worker"])


def test_needed_services_exist_and_volumes_are_declared(compose, services):
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists()
            else:
                assert source in compose["volumes"]


def test_the_server_has_the_dynamic_configuration_of_the_embedded_one():
    text = (ROOT / "deploy/temporal/dynamic-config.yaml").read_text(encoding="utf-8")
    values = {key: entries[0]["value"] for key, entries in yaml.safe_load(text).items()}
    assert values == embedded_temporal.DYNAMIC_CONFIG


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_is_locked_unprivileged_and_runs_api_and_worker():
    text = dockerfile()
    assert "--require-hashes" in text
    assert text.index("USER delta") < text.index("CMD ")
    assert 'CMD ["python", "-m", "workers", "up"]' in text
    environ = dict(re.findall(r"([A-Z_]+)=(\S+)", text[text.index("ENV DELTA_HOME") :]))
    settings = load_settings(environ)
    assert (settings.api_host, settings.worker_count) == ("0.0.0.0", 1)
    names = [port.part for port in StackParts(settings, ["worker", "api"]).ports()]
    assert names == ["worker 0", "API"]


def test_prometheus_accepts_its_configuration():
    tool = shutil.which("promtool")
    if tool is None:
        assert os.environ.get("REQUIRE_TOOLS") != "1", "promtool is missing: make tools"
        pytest.skip("NOT RUN: promtool is missing (make tools)")
    config = ROOT / "deploy/prometheus/prometheus.yml"
    done = subprocess.run(
        [tool, "check", "config", "--syntax-only", config], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
