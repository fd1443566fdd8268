"""A Ray cluster of two nodes on this machine, with the service on it: a program for the tests.

Ray starts threads and signal handlers in the process that asks it, so that no test imports it. The
program prints the address of the cluster. It obeys the lines of its standard input (`status`, `kill
replica`, `kill node`), and answers each with a line of JSON. The cluster ends with the input.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

NODE = {"num_cpus": 4, "object_store_memory": 100_000_000}
REPLICA = b"ray::ServeReplica:mc-dropout"
PATIENCE_SECONDS = 300  # the processes of Ray have a low priority


def main() -> None:
    """Start the cluster, deploy the configuration of the first argument, and obey."""
    import ray
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray prints to standard output
    config = Path(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    ray.init(cluster.address, namespace="serve", log_to_driver=False, logging_level="ERROR")
    try:
        deploy(config, cluster.address)
        say(answers, {"address": cluster.address})
        for line in sys.stdin:
            match line.split():
                case ["kill", "replica"]:
                    os.kill(replicas()[-1], signal.SIGKILL)
                case ["kill", "node"]:
                    cluster.remove_node(second, allow_graceful=False)
            say(
                answers,
                {
                    "running": running(),
                    "processes": replicas(),
                    "on_second": [each for each in replicas() if descends(each, raylet(second))],
                },
            )
    finally:
        ray.shutdown()
        cluster.shutdown()


def deploy(config: Path, address: str) -> None:
    """Deploy as `serve run` does, and wait for the replicas and the proxies."""
    command = [str(Path(sys.executable).with_name("serve")), "run", "--non-blocking"]
    done = subprocess.run(
        [*command, "--address", address, str(config)], capture_output=True, text=True, check=False
    )
    until = time.monotonic() + PATIENCE_SECONDS
    while running() < 2 or not all_run() or not proxies_listen():
        if time.monotonic() > until:
            raise SystemExit(f"the service does not start:\n{done.stdout}\n{done.stderr}")
        time.sleep(0.2)


def running() -> int:
    """How many replicas Ray Serve counts as running."""
    from ray import serve

    with suppress(Exception):  # the controller is away for a moment
        app = serve.status().applications["mc-dropout"]
        return int(app.deployments["mc-dropout"].replica_states.get("RUNNING", 0))
    return 0


def all_run() -> bool:
    """Whether every application runs."""
    from ray import serve

    return all(app.status == "RUNNING" for app in serve.status().applications.values())


def proxies_listen() -> bool:
    """Whether each node has a proxy, and all are healthy."""
    from ray import serve

    states = list(serve.status().proxies.values())
    return len(states) == 2 and set(states) == {"HEALTHY"}


def replicas() -> list[int]:
    """The processes of replicas, the youngest last, that this process's nodes have started."""
    found = list[tuple[int, int]]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            number = int(path.parent.name)
            if path.read_bytes().startswith(REPLICA) and descends(number, os.getpid()):
                began = (path.parent / "stat").read_text().rpartition(")")[2].split()[19]
                found.append((int(began), number))
    return [each for _, each in sorted(found)]


def raylet(node: Any) -> int:
    """The process above those of a node; -1 if the node is gone."""
    found = node.all_processes.get("raylet", [])
    return int(found[0].process.pid) if found else -1


def descends(number: int, above: int) -> bool:
    """Whether a process is below another one."""
    while number > 1 and number != above:
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return number == above


def say(stream: TextIO, answer: dict[str, Any]) -> None:
    """Write a line of JSON."""
    stream.write(f"{json.dumps(answer)}\n")
    stream.flush()


if __name__ == "__main__":
    main()
