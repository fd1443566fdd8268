"""Prometheus with our configuration, its alerts, and the dashboard, with Prometheus itself."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import UNEXPECTED, error_rows
from tests.deploy.tools import DEPLOY, ROOT, library, program
from tests.server import serving

MONITORING = DEPLOY / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/mc-dropout.json").read_text())
PLAYED = sorted(Path(__file__).parent.glob("alerts/*.yaml"))
PACKAGE = "prometheus"  # of Debian
PATIENCE_SECONDS = 60


def promtool(*arguments: str | Path) -> None:
    command = [program("promtool", PACKAGE), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def yaml_of(path: Path) -> Any:
    return library("yaml", "pyyaml").safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    [group] = yaml_of(MONITORING / "alerts.yaml")["groups"]
    return list(group["rules"])


def shown() -> list[str]:
    """The expressions of the dashboard, as Grafana fills them in."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [each.replace("$job", "mc-dropout").replace("$__rate_interval", "1m") for each in found]


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """The URL of a Prometheus with our configuration, which asks the target every second."""
    text = (MONITORING / "prometheus.yaml").read_text()
    text = text.replace("service:8000", target).replace(
        "scrape_interval: 15s", "scrape_interval: 1s"
    )
    (folder / "prometheus.yaml").write_text(text)
    (folder / "alerts.yaml").write_text((MONITORING / "alerts.yaml").read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        program("prometheus", PACKAGE),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def asked(url: str, expression: str) -> list[Any]:
    """What Prometheus answers to an expression; nothing where it does not listen yet."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=10)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []
    assert answer.status_code == 200, f"{expression}: {answer.text}"
    return list(answer.json()["data"]["result"])


def test_the_configuration_is_valid_and_every_alert_goes_off_when_it_should(tmp_path: Path) -> None:
    promtool("check", "config", MONITORING / "prometheus.yaml")
    for path in PLAYED:
        text = path.read_text().replace("ALERTS", str(MONITORING / "alerts.yaml"))
        (tmp_path / path.name).write_text(text)
        promtool("test", "rules", tmp_path / path.name)


def test_every_alert_is_played() -> None:
    played = {
        case["alertname"]
        for path in PLAYED
        for each in yaml_of(path)["tests"]
        for case in each["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert played == {rule["alert"] for rule in rules()}


def test_an_alert_names_codes_of_ours() -> None:
    codes = {row.code for row in error_rows()} | {UNEXPECTED[1]}
    named = [
        code
        for rule in rules()
        for found in re.findall(r'(?:outcome|reason)=~"([^"]+)"', rule["expr"])
        for code in found.split("|")
    ]
    assert named
    assert set(named) <= codes


def test_prometheus_reads_the_metrics_and_knows_every_metric_that_is_shown(tmp_path: Path) -> None:
    with serving() as url:
        text = httpx.get(f"{url}/metrics", timeout=60).text
        kinds = re.findall(r"^# TYPE (\w+) ", text, re.M)
        parts = {f"{name}{end}" for name in kinds for end in ("", "_bucket", "_sum", "_count")}
        expressions = [*shown(), *(rule["expr"] for rule in rules())]
        named = {
            name for each in expressions for name in re.findall(r"\b(?:mcd|process)_\w+", each)
        }
        assert len(named) > 10
        assert named <= parts
        with prometheus(tmp_path, url.removeprefix("http://")) as watcher:
            started = time.monotonic()
            while not asked(watcher, 'mcd_model_ready{job="mc-dropout"} == 1'):
                assert time.monotonic() - started < PATIENCE_SECONDS, (tmp_path / "log").read_text()
                time.sleep(0.1)
            for expression in expressions:
                asked(watcher, expression)
            loaded = httpx.get(f"{watcher}/api/v1/rules").json()["data"]["groups"][0]["rules"]
            assert len(loaded) == len(rules())


def test_every_panel_says_what_it_shows() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["description"] for panel in panels)


def test_compose_confines_the_service_and_mounts_what_is_there() -> None:
    services = yaml_of(ROOT / "compose.yaml")["services"]
    service = services["service"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > 30
    assert [name for name, each in services.items() if "profiles" not in each] == ["service"]
    for each in services.values():
        assert "build" in each or re.search(r":v?\d+\.\d+\.\d+$", each["image"])
        for mount in each.get("volumes", ()):
            if mount.startswith("./"):
                assert (ROOT / mount.partition(":")[0]).exists(), mount


@pytest.mark.parametrize("name", ["prometheus.yaml", "alerts.yaml"])
def test_prometheus_finds_its_files(name: str) -> None:
    mounts = yaml_of(ROOT / "compose.yaml")["services"]["prometheus"]["volumes"]
    assert f"./deploy/monitoring/{name}:/etc/prometheus/{name}:ro" in mounts
