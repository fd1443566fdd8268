"""Checks deploy/kserve with KServe's own client, in an environment of its own for its pins.

python .ci/clients.py        makes the environment and the server, and runs the next line there
python .ci/clients.py URL    checks the manifests against the client's models, and asks the server

The server has just the arguments of the ServingRuntime, with a name and a folder filled in.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MANIFESTS = ROOT / "deploy" / "kserve"
CLIENT = "kserve==0.21.0"
MODEL = "patients"
FOLDER = ROOT / "model" / "artifact" / "pretrained" / "diabetes"
PATIENT = [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]]


def main() -> None:
    """Raises where a manifest or an answer is not as KServe expects."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", CLIENT], check=True)
        with subprocess.Popen(
            [sys.executable, "-m", "app", *arguments()],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MCD_MODELS_DIR": ""},
        ) as server:
            assert server.stdout
            url = re.search(r"http://\S+", server.stdout.readline())
            try:
                assert url
                subprocess.run([python, "-W", "ignore", __file__, url[0]], check=True)
            finally:
                server.terminate()


def arguments() -> list[str]:
    """The arguments that KServe would give to the container, but for folder and port."""
    import yaml

    runtime = yaml.safe_load((MANIFESTS / "runtime.yaml").read_text())
    filled = {"{{.Name}}": MODEL, "/mnt/models": str(FOLDER), "8080": "0"}
    pattern = "|".join(map(re.escape, filled))
    found = runtime["spec"]["containers"][0]["args"]
    return [re.sub(pattern, lambda part: filled[part[0]], argument) for argument in found]


def check(name: str, kind: str) -> None:
    """Raises where a manifest has a key that KServe does not know, or lacks one that it needs."""
    import yaml

    read(yaml.safe_load((MANIFESTS / name).read_text()), kind, name)
    print(f"{CLIENT}: deploy/kserve/{name} is as expected")


def read(value: Any, kind: str, where: str) -> Any:
    """An object of the client's class of that kind, which checks what it needs.

    The kinds of Kubernetes itself, which are none of the client's, stay as they are.
    """
    import kserve

    if kind.startswith("list["):
        return [read(each, kind[5:-1], where) for each in value]
    made = getattr(kserve, kind, None)
    if made is None:
        return value
    names = {written: name for name, written in made.attribute_map.items()}
    unknown = value.keys() - names.keys()
    assert not unknown, f"{where}: {kind} has no {', '.join(unknown)}"
    return made(
        **{
            names[key]: read(each, made.openapi_types[names[key]], where)
            for key, each in value.items()
        }
    )


async def ask(url: str) -> None:
    """Health, the model's readiness, and one prediction in JSON and one in binary."""
    import httpx
    import numpy as np
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60, retries=5))
    assert await client.is_server_live(url)
    while not await client.is_server_ready(url):
        await asyncio.sleep(0.2)
    assert await client.is_model_ready(url, MODEL)
    sent = {"rows": PATIENT, "seed": 1}
    native = httpx.post(f"{url}/models/{MODEL}/predict", json=sent, timeout=60).json()
    for binary in (False, True):
        rows = InferInput("input", [1, 10], "FP64")
        rows.set_data_from_numpy(np.array(PATIENT), binary_data=binary)
        request = InferRequest(MODEL, [rows], request_id="k", parameters={"seed": 1})
        answer = await client.infer(url, request, model_name=MODEL)
        [mean] = [output.as_numpy() for output in answer.outputs if output.name == "mean"]
        assert answer.id == "k"
        assert mean.item() == native["predictions"][0]["mean"]
    print(f"{CLIENT}: health, readiness, JSON and binary tensors: as expected")


if __name__ == "__main__":
    if sys.argv[1:]:
        check("runtime.yaml", "V1alpha1ServingRuntime")
        check("service.yaml", "V1beta1InferenceService")
        asyncio.run(ask(sys.argv[1]))
    else:
        main()
