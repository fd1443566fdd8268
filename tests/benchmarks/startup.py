"""How soon the service is ready and what it weighs, beside bare imports of its libraries.

    python tests/benchmarks/startup.py [--runs 9] [--json]

The four processes of a round run one after the other, so that all see the same machine. Linux only.
"""

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

RSS = "import re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
READY_SECONDS = 60


def import_seconds() -> float:
    """Wall time of `python -c 'import torch'`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - start


def import_mib() -> float:
    """Resident memory of a process that has imported torch and FastAPI."""
    code = f"import torch, fastapi; {RSS}"
    return int(subprocess.check_output([sys.executable, "-c", code])) / 1024


def service() -> tuple[float, float]:
    """Seconds from the start of `python -m app` until it is ready, and its memory then in MiB."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "app", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready(port):
            if process.poll() is not None or time.perf_counter() - start > READY_SECONDS:
                raise SystemExit("the service did not start")
            time.sleep(0.002)
        seconds = time.perf_counter() - start
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        process.wait()
    return seconds, int(status.partition("VmRSS:")[2].split()[0]) / 1024


def ready(port: int) -> bool:
    """Whether the service says that it is ready."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measure(runs: int) -> dict[str, list[float]]:
    """Each quantity, once per run; one run before them warms the disk's cache."""
    found: dict[str, list[float]] = {
        "import_torch_seconds": [],
        "start_to_ready_seconds": [],
        "import_torch_fastapi_mib": [],
        "service_mib": [],
    }
    for _ in range(runs + 1):
        found["import_torch_seconds"].append(import_seconds())
        seconds, mib = service()
        found["start_to_ready_seconds"].append(seconds)
        found["import_torch_fastapi_mib"].append(import_mib())
        found["service_mib"].append(mib)
    return {name: values[1:] for name, values in found.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Start time and memory of the service.")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print all values, for machines")
    arguments = parser.parse_args()
    found = measure(arguments.runs)
    median = {name: statistics.median(values) for name, values in found.items()}
    ratios = {
        "start": median["start_to_ready_seconds"] / median["import_torch_seconds"],
        "memory": median["service_mib"] / median["import_torch_fastapi_mib"],
    }
    if arguments.json:
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        print(json.dumps({"machine": machine, "runs": found, "ratios": ratios}))
        return
    print("| quantity | median | least | most |\n| --- | ---: | ---: | ---: |")
    for name, values in found.items():
        digits = 2 if name.endswith("seconds") else 0
        numbers = (median[name], min(values), max(values))
        print(f"| {name} |", " | ".join(f"{number:.{digits}f}" for number in numbers), "|")
    print(f"\nstart {ratios['start']:.2f} x, memory {ratios['memory']:.2f} x")


if __name__ == "__main__":
    main()
