"""What a collector of OpenTelemetry hears of the requests, and what it does not."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.journeys.serving import PATIENCE_SECONDS, ROW, Served, served, until

SECRET = "swordfish"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """Keeps what is sent to it, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, bytes]] = []

    def spans(self) -> list[Span]:
        found = []
        for path, body in self.received:
            if path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    found += [span for scope in resource.scope_spans for span in scope.spans]
        return found


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{collector.server_port}"
        finally:
            collector.shutdown()
            thread.join()


def ask(server: Served) -> None:
    """A good request within a trace, bad ones and a probe, all with a secret where one may be."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-request-id": "id-1"}
        body = {"rows": [ROW], "seed": 1}
        client.post("/predict", json=body, headers=headers | {"cookie": SECRET})
        client.post(f"/predict?key={SECRET}", json=body)
        client.post("/predict", json={"rows": [{**ROW, "quarter": SECRET}]})
        client.post("/predict", content=SECRET, headers={"authorization": f"Bearer {SECRET}"})
        client.get(f"/v2/health/live?{SECRET}")


def test_a_collector_hears_of_requests_and_nothing_of_their_content_and_may_go_away(
    regression_artifact: Path, tmp_path: Path
) -> None:
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "100", "MCD_DRAIN_SECONDS": "5"}
    with collecting() as (collector, url), ExitStack() as stack:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        server = stack.enter_context(served(tmp_path, "--model", regression_artifact, **settings))
        ask(server)
        until(lambda: len(collector.spans()) >= 4)
        going_away = stack.pop_all()
    with going_away:  # the collector is gone, the server is not
        spans = collector.spans()
        ask(server)
        assert server.predict().status_code == 200
        server.process.terminate()
        assert server.process.wait(PATIENCE_SECONDS) == 0
    assert [span.name for span in spans] == ["POST /predict"] * 4
    first = spans[0]
    assert first.trace_id.hex() == TRACE
    attributes = {each.key: each.value for each in first.attributes}
    assert attributes["request_id"].string_value == "id-1"
    assert attributes["http.response.status_code"].int_value == 200
    everything = b"".join(body for _, body in collector.received)
    assert b"POST /predict" in everything
    assert SECRET.encode() not in everything
    assert SECRET not in server.log.read_text()
    assert "/v1/logs" not in {path for path, _ in collector.received}
