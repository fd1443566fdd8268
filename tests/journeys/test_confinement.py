"""A server without a network, without a disk to write to, as a user that nobody knows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USER = 43210

# Mounts and interfaces of its own: nothing can be written to, and there is no network but itself.
CONFINED = "mount --make-rprivate / && mount -o remount,bind,ro / && ip link set lo up"
CONFINED += (
    ' && for place in /tmp /dev/shm; do mount --bind "$place" "$place"'
    ' && mount -o remount,bind,ro "$place"; done && exec "$@"'
)
# A user without a name that may read everything, wherever this Python lies, and write nothing.
NOBODY = ("--reuid", str(USER), "--regid", str(USER), "--clear-groups")
READER = ("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "+dac_read_search")

JOURNEY = """if True:
    import json, os, pathlib, re, socket, subprocess, sys, urllib.request

    def writable(folder):
        try:
            (pathlib.Path(folder) / "x").touch()
        except OSError:
            return False
        return True

    command = [sys.executable, "-m", "app", "--port", "0", "--workers", "2"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    url = re.search(r"http://\\S+", server.stdout.readline())[0]
    asked = {"rows": [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]], "seed": 1}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/predict", json.dumps(asked).encode(), headers)
    answer = json.load(urllib.request.urlopen(request, timeout=60))
    docs = urllib.request.urlopen(f"{url}/docs/swagger-ui.css").status
    server.terminate()
    found = {
        "user": os.getuid(),
        "writable": [place for place in ("/", "/tmp", "/dev/shm", ".") if writable(place)],
        "interfaces": [name for _, name in socket.if_nameindex()],
        "variance": answer["predictions"][0]["variance"],
        "docs": docs,
        "exit": server.wait(60),
    }
    print(json.dumps(found))
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "ip"))),
    reason="only root can confine a process, with unshare, setpriv and ip",
)
def test_a_server_runs_without_network_or_disk_and_as_any_user() -> None:
    python = ("setpriv", *NOBODY, *READER, sys.executable, "-c", JOURNEY)
    ended = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", CONFINED, "sh", *python],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["variance"] > 0
    assert found == {
        **found,
        "user": USER,
        "writable": [],
        "interfaces": ["lo"],
        "docs": 200,
        "exit": 0,
    }
    assert "Traceback" not in ended.stderr
