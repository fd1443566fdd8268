"""`python -m app` as a process of its own: what it prints, serves, and exits with."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from re import findall, search
from urllib.parse import urljoin

import httpx
import pytest

import app
import model
from tests.journeys.serving import children, until

TIMEOUT_SECONDS = 60


@contextmanager
def started(*options: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end, should it still run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *map(str, options)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def greeting(process: subprocess.Popen[str]) -> list[str]:
    """What a server prints, up to the request to paste."""
    assert process.stdout
    lines: list[str] = []
    while not lines or not lines[-1].startswith("curl"):
        lines.append(process.stdout.readline())
        assert lines[-1], "the server ended before it was ready"
    return lines


def refusal(*options: str | Path, **environment: str) -> str:
    """The one line that a server says which cannot start for a mistake of the user's."""
    with started(*options, **environment) as process:
        output, error = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 2
    assert output == ""
    assert error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def models(artifacts: dict[str, Path]) -> list[str]:
    return [part for name in ("regression", "binary") for part in ("--model", str(artifacts[name]))]


@pytest.fixture(scope="module")
def server(models: list[str]) -> Iterator[list[str]]:
    """The lines that a running server has printed."""
    with started(*models, "--port", "0") as process:
        yield greeting(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 0


@pytest.fixture
def url(server: list[str]) -> str:
    found = search(r"http://\S+", server[0])
    assert found
    return found[0]


def test_the_request_that_is_printed_can_be_pasted(server: list[str]) -> None:
    curl, *arguments = shlex.split(server[-1])
    assert curl == "curl"
    if shutil.which("curl"):
        pasted = subprocess.run(server[-1], shell=True, capture_output=True, text=True, check=True)
        content = pasted.stdout
    else:
        address = next(word for word in arguments if word.startswith("http"))
        name, value = arguments[arguments.index("-H") + 1].split(": ")
        body = arguments[arguments.index("-d") + 1]
        content = httpx.post(address, content=body, headers={name: value}).text
    answer = json.loads(content)
    assert answer["model"]["name"] == "regression"
    assert answer["predictions"][0]["variance"] > 0


def test_the_pages_are_where_the_server_says(server: list[str], url: str) -> None:
    for name, path in (("Playground", "/"), ("Docs", "/docs")):
        assert f"{name}: {url}{path}\n" in server
        page = httpx.get(f"{url}{path}")
        assets = findall(r'(?:href|src)="([^"#]+)"', page.text)
        assert len(assets) > 2
        for asset in assets:
            assert httpx.get(urljoin(str(page.url), asset)).status_code == 200


def test_an_answer_does_not_wait_for_an_acknowledgement_of_its_headers(url: str) -> None:
    """Without TCP_NODELAY every answer on a connection that is kept takes 40 ms."""
    with httpx.Client() as client:
        seconds = [client.get(f"{url}/v2/health/live").elapsed.total_seconds() for _ in range(15)]
    assert sorted(seconds)[5] < 0.03


def test_nobody_but_this_machine_is_let_in_by_default(url: str) -> None:
    """127.0.0.2 is an address of this machine that a server on every address would listen on."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", httpx.URL(url).port))


def test_a_large_body_is_refused_over_the_wire(url: str) -> None:
    body = b'{"rows": [' + b" " * (17 << 20) + b"]}"
    response = httpx.post(f"{url}/predict", content=body)
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGINT, 1)]
)
def test_a_server_that_is_told_to_stop_exits_with_0(
    models: list[str], number: signal.Signals, workers: int
) -> None:
    with started(*models, "--port", "0", "--workers", str(workers)) as process:
        found = search(r"http://\S+", greeting(process)[0])
        assert found
        ready = httpx.get(f"{found[0]}/v2/health/ready", timeout=TIMEOUT_SECONDS)
        assert ready.json() == {"ready": True}
        process.send_signal(number)
        _, error = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0
        assert "Traceback" not in error


@pytest.mark.parametrize("greeted", [False, True], ids=["the one that greets", "the servers"])
def test_ctrl_c_while_processes_start_ends_all_and_leaves_no_traceback(
    models: list[str], greeted: bool
) -> None:
    """A terminal sends Ctrl-C to every process of a command."""
    with started(*models, "--port", "0", "--workers", "2") as process:
        if greeted:
            greeting(process)
            until(lambda: len(forks(process)) == 2)
        else:
            until(lambda: any(loads_modules(each) for each in children(process.pid)))
        for each in (process.pid, *children(process.pid), *forks(process)):
            os.kill(each, signal.SIGINT)
        _, error = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == (0 if greeted else 130)
        assert "Traceback" not in error


def forks(process: subprocess.Popen[str]) -> list[int]:
    """The server processes, once the one that greets has ended."""
    return [fork for child in children(process.pid) for fork in children(child)]


def loads_modules(process: int) -> bool:
    """Whether it is a process of ours that loads the modules of torch."""
    with suppress(OSError):
        return "libtorch" in Path(f"/proc/{process}/maps").read_text()
    return False


def test_a_server_whose_workers_cannot_start_says_so_with_its_exit_code(
    artifacts: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(artifacts["binary"], tmp_path / "gone")
    with started("--model", folder, "--port", "0", "--workers", "2") as process:
        greeting(process)
        shutil.rmtree(folder)  # the workers load it again, once they have imported torch
        _, error = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 3
        assert str(folder) in error


def test_requests_that_come_before_the_models_are_loaded_wait_for_them(
    models: list[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with started(*models, "--port", str(port)):
        transport = httpx.HTTPTransport(retries=12)  # until the process listens
        with httpx.Client(transport=transport, timeout=TIMEOUT_SECONDS) as client:
            response = client.get(f"http://127.0.0.1:{port}/v2/health/ready")
        assert response.json() == {"ready": True}


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal("--port", str(port))
    assert f"127.0.0.1 port {port}" in line
    assert "in use" in line


def test_a_folder_that_is_no_model_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal("--model", tmp_path, "--port", "0")
    missing = tmp_path / "missing"
    assert str(missing) in refusal("--port", "0", MCD_MODELS=str(missing))


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    assert "MCD_PRT" in refusal(MCD_PRT="1")
    assert "MCD_MAX_PASSES" in refusal(MCD_MAX_PASSES="many")
    assert "port" in refusal("--port", "eighty")
    assert "nowhere.invalid" in refusal("--host", "nowhere.invalid")


def test_help_shows_examples_and_costs_no_import_of_torch() -> None:
    code = "import sys, app.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit as e: "
    code += "print(e.code, 'torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "0 False"
    for word in ("examples:", "--model", "--host", "--port", "--workers", "MCD_PORT"):
        assert word in shown.stdout


def test_the_version_says_what_computes_the_passes() -> None:
    for setting, kernel in ((None, model.kernel_name()), ("off", "torch")):
        environment = os.environ | ({"MCD_KERNEL": setting} if setting else {})
        shown = subprocess.run(
            [sys.executable, "-m", "app", "--version"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert shown.stdout.splitlines() == [
            f"mc-dropout-service {app.__version__}",
            f"kernel: {kernel}",
        ]


def test_the_parent_of_several_servers_loads_no_torch() -> None:
    code = "import sys, app.__main__; from app.server import Supervisor; "
    code += "print(sorted({'torch', 'model'} & sys.modules.keys()))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
