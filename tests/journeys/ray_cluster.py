"""The cluster of `ray_host` for the tests, and the configuration of deploy/ray on it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.proxies import free_ports
from tests.deploy.tools import DEPLOY, ROOT, check_installed
from tests.journeys.serving import PATIENCE_SECONDS

SMALL = "/small"  # the path of a second application, in which hardly a request may wait


@dataclass(frozen=True)
class RayCluster:
    """Two nodes, each with a replica and a proxy; both proxies listen on one port."""

    process: subprocess.Popen[str]
    address: str
    url: str

    def tell(self, command: str) -> dict[str, Any]:
        """Tell the host something, and return its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def recovered(self, lost: Sequence[int]) -> bool:
        """Whether two replicas run, and none of those that are lost."""
        found = self.tell("status")
        processes = found["processes"]
        return found["running"] == len(processes) == 2 and not {*lost} & {*processes}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that takes the cluster."""
        return environment(RAY_ADDRESS=self.address)


def environment(**more: str) -> dict[str, str]:
    """The environment of every process of Ray: no statistics are sent to anybody."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    known = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **known, **more}


def configured(port: int, settings: Mapping[str, str], proxies: Mapping[str, str]) -> str:
    """The configuration of deploy/ray with a port and settings of ours."""
    config = yaml.safe_load((DEPLOY / "ray/serve.yaml").read_text())
    [application] = config["applications"]
    config["http_options"] = {**config["http_options"], "host": "127.0.0.1", "port": port}
    config["controller_options"]["runtime_env"]["env_vars"].update(proxies)
    application["runtime_env"]["env_vars"].update({**settings, **proxies})
    few = {"max_ongoing_requests": 1, "max_queued_requests": 1}
    small = {
        **application,
        "name": "small",
        "route_prefix": SMALL,
        "args": {"min_replicas": 1, "max_replicas": 1},
        "deployments": [{"name": "mc-dropout", **few}],
    }
    application["args"] = {"min_replicas": 2, "max_replicas": 2}
    config["applications"].append(small)
    return str(yaml.safe_dump(config))


@contextmanager
def ray_cluster(
    folder: Path, models: Sequence[Path], proxies: Mapping[str, str], **settings: str
) -> Iterator[RayCluster]:
    """A cluster that serves the models; `proxies` are settings that its proxies have, too."""
    check_installed("ray", "the extra ray")
    [port], config = free_ports(1), folder / "serve.yaml"
    known = {"MCD_MODELS": os.pathsep.join(map(str, models)), **settings}
    config.write_text(configured(port, known, proxies))
    command = [sys.executable, "-m", "tests.journeys.ray_host", str(config)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin
    assert process.stdout
    try:
        first = process.stdout.readline()
        assert first, (folder / "log").read_text()[-4000:]
        yield RayCluster(process, json.loads(first)["address"], f"http://127.0.0.1:{port}")
    finally:
        process.stdin.close()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()
