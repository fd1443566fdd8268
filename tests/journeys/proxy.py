"""A proxy in front of a server, which strips a path prefix as nginx does."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

OF_A_CONNECTION = ("connection", "content-length", "transfer-encoding", "keep-alive")


@contextmanager
def stripping(prefix: str, url: str) -> Iterator[str]:
    """The URL below which the server at `url` is found."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                return self.send_error(404)
            sent = {name.lower(): value for name, value in self.headers.items()}
            length = int(sent.get("content-length", 0))
            answer = httpx.request(
                self.command,
                url + self.path.removeprefix(prefix),
                headers={**sent, "accept-encoding": "identity"},
                content=self.rfile.read(length),
                timeout=60,
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in OF_A_CONNECTION:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
            return None

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}{prefix}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
