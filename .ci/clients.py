"""Asks a server with KServe's own client, from an environment of its own: its pins are not ours.

python .ci/clients.py        makes the environment and the server, and runs the next line there
python .ci/clients.py URL    asks the server
"""

import asyncio
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CLIENT = "kserve==0.21.0"
MODEL = "diabetes"
PATIENT = [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]]


def main() -> None:
    """Raises where the client gets another answer than the native route gives."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", CLIENT], check=True)
        command = [sys.executable, "-m", "app", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            url = re.search(r"http://\S+", server.stdout.readline())
            try:
                assert url
                subprocess.run([python, "-W", "ignore", __file__, url[0]], check=True)
            finally:
                server.terminate()


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
    asyncio.run(ask(sys.argv[1])) if sys.argv[1:] else main()
