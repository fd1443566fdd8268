"""nginx and HAProxy, with the configurations of deploy/proxy, before servers on ports of ours."""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from tests.deploy.tools import DEPLOY, program
from tests.journeys.serving import Served, served, until

COUNT = 3  # servers, as in the configurations
PATIENT = {"age": 59, "sex": 2, "bmi": 32.1, "bp": 101, "s1": 157, "s2": 93.2, "s3": 38, "s4": 4}
ASKED = {"rows": [{**PATIENT, "s5": 4.8598, "s6": 87}], "seed": 1}
ACCESS_LOG = "access.log"  # of nginx: the seconds of a request, and which servers it asked
_MAIN = """
{user} daemon off; pid {place}/nginx.pid; error_log {place}/nginx.log notice; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    log_format times '$request_time $upstream_addr; $upstream_status; $upstream_response_time';
    access_log {place}/{ACCESS_LOG} times;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    include {place}/site.conf;
}}
"""


class Fleet:
    """Servers on ports of their own, each of which can be replaced."""

    def __init__(self, place: Path) -> None:
        self.ports = free_ports(COUNT)
        self.servers: list[Served] = []
        self._place = place
        self._stacks = [ExitStack() for _ in self.ports]

    def __enter__(self) -> "Fleet":
        with ExitStack() as undo, ThreadPoolExecutor(COUNT) as pool:
            undo.push(self.__exit__)
            self.servers = list(pool.map(self._start, range(COUNT)))
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self._stacks:
            stack.close()

    def replace(self, number: int) -> None:
        """Stop a server by SIGTERM, and start another on its port."""
        self._stacks[number].close()
        assert self.servers[number].process.returncode == 0
        self.servers[number] = self._start(number)

    def _start(self, number: int) -> Served:
        folder = self._place / f"server-{number}"
        folder.mkdir(exist_ok=True)
        options = ("--port", str(self.ports[number]))
        return self._stacks[number].enter_context(served(folder, *options))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]


def certified(place: Path) -> ssl.SSLContext:
    """Make a certificate of localhost in a folder; a client's context that trusts it."""
    key, certificate = place / "tls.key", place / "tls.crt"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    command = [program("openssl", "openssl"), "req", "-x509", *kind, *subject]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    (place / "tls.pem").write_text(certificate.read_text() + key.read_text())
    return ssl.create_default_context(cafile=str(certificate))


@contextmanager
def nginx(place: Path, ports: Sequence[int]) -> Iterator[str]:
    """The URL of an nginx before the ports, with the certificate in the folder."""
    [port] = free_ports(1)
    (place / "site.conf").write_text(_placed("nginx.conf", place, ports, port))
    user = "user root;" if os.geteuid() == 0 else ""  # its processes write into the folder
    (place / "nginx.conf").write_text(_MAIN.format(place=place, user=user, ACCESS_LOG=ACCESS_LOG))
    command = [program("nginx", "nginx"), "-p", str(place), "-c", str(place / "nginx.conf")]
    with _running(command, place / "nginx.out", port) as url:
        yield url


@contextmanager
def haproxy(place: Path, ports: Sequence[int]) -> Iterator[str]:
    """The URL of a HAProxy before the ports, with the certificate in the folder."""
    [port] = free_ports(1)
    (place / "haproxy.cfg").write_text(_placed("haproxy.cfg", place, ports, port))
    command = [program("haproxy", "haproxy"), "-db", "-f", str(place / "haproxy.cfg")]
    with _running(command, place / "haproxy.out", port) as url:
        yield url


PROXIES: dict[str, Callable[[Path, Sequence[int]], AbstractContextManager[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


def _placed(name: str, place: Path, ports: Sequence[int], port: int) -> str:
    """A configuration with places and ports of ours, which are all that differs."""
    text = (DEPLOY / "proxy" / name).read_text().replace("/etc/ssl/mc-dropout", str(place))
    text = re.sub(r"(listen |bind :)443\b", rf"\g<1>{port}", text)
    for number, ours in enumerate(ports, 8001):
        assert text.count(f"127.0.0.1:{number}") == 1
        text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{ours}")
    return text


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[str]:
    with (
        log.open("w") as stream,
        subprocess.Popen(command, stdout=stream, stderr=stream) as process,
    ):

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                return True
            return False

        try:
            until(listens)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()
