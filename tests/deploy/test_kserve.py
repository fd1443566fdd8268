"""The manifests of deploy/kserve; .ci/clients.py checks them with KServe's own client."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.http as triton

import model
from tests.deploy.tools import DEPLOY, ROOT, library
from tests.server import serving

NAME = "first-try"


def document(name: str) -> dict[str, Any]:
    text = (DEPLOY / "kserve" / f"{name}.yaml").read_text()
    return dict(library("yaml", "pyyaml").safe_load(text))


@pytest.fixture(scope="module")
def container() -> dict[str, Any]:
    [found] = document("runtime")["spec"]["containers"]
    return dict(found)


def filled(arguments: list[str], folder: Path) -> list[str]:
    """The arguments as KServe fills them in, with another folder and a free port."""
    values = {"{{.Name}}": NAME, "/mnt/models": str(folder), "8080": "0"}
    pattern = "|".join(map(re.escape, values))
    return [re.sub(pattern, lambda found: values[found[0]], each) for each in arguments]


def test_the_arguments_of_the_runtime_serve_a_model_under_the_name_that_kserve_gives(
    container: dict[str, Any],
) -> None:
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    environment = {"PYTHONPATH": str(ROOT), "MCD_MODELS_DIR": "/models", **variables}
    folder = model.shipped()[0]
    with serving(*filled(container["args"], folder), environment=environment) as url:
        served = httpx.get(f"{url}/v2/models/{NAME}", timeout=60).json()
        assert served["name"] == NAME
        assert served["versions"] == [model.load(folder).card.version]
        assert len(httpx.get(f"{url}/models").json()["models"]) == 1
        with triton.InferenceServerClient(url.removeprefix("http://")) as client:
            assert client.is_model_ready(NAME)


def test_the_probes_and_the_port_are_those_of_the_service(container: dict[str, Any]) -> None:
    [port] = [entry["containerPort"] for entry in container["ports"]]
    assert f"--port={port}" in container["args"]
    for probe, path in (("startup", "ready"), ("liveness", "live"), ("readiness", "ready")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": f"/v2/health/{path}", "port": port}


def test_the_container_is_valid_under_the_strict_schema_of_a_pod() -> None:
    kubernetes = library("kubernetes_validate", "kubernetes-validate")
    spec = document("runtime")["spec"]
    parts = {"containers": spec["containers"], "volumes": spec["volumes"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": parts}
    kubernetes.validate(pod, kubernetes.latest_version(), strict=True)


def test_the_service_asks_for_the_runtime() -> None:
    runtime, service = document("runtime"), document("service")
    asked = service["spec"]["predictor"]["model"]
    assert asked["runtime"] == runtime["metadata"]["name"]
    assert asked["protocolVersion"] in runtime["spec"]["protocolVersions"]
    formats = runtime["spec"]["supportedModelFormats"]
    assert asked["modelFormat"] in [{k: each[k] for k in ("name", "version")} for each in formats]
