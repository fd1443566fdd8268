"""The command `predict` on the machines of a Ray cluster writes the bytes of the local engine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.ray_cluster import RayCluster
from tests.model.scoring.files import house_rows, write

pytestmark = pytest.mark.ray

COUNT = 9000
ENGINES = ("local", "ray")
ONE = {"workers": 1}  # each worker takes seconds to start
CASES = """if True:
    import json, logging, sys
    from pathlib import Path
    import ray
    from model import ModelError, PredictOptions, ScoreOptions, score_file
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    found = []
    for source, out, masks, options in json.loads(sys.stdin.read()):
        try:
            predict = PredictOptions(passes=5, seed=3, masks=masks)
            score = score_file(sys.argv[1], source, out, predict, ScoreOptions(**options))
            found.append([score.rows, score.resumed])
        except ModelError as error:
            found.append(str(error))
    assert ray.is_initialized()
    print(json.dumps(found))
    """


def test_the_command_writes_the_bytes_of_the_local_engine_without_the_rows_that_are_refused(
    cluster: RayCluster, regression_artifact: Path, tmp_path: Path
) -> None:
    rows = house_rows(COUNT)
    for at in (3, 5500, COUNT - 1):
        rows[at]["quarter"] = "west"
    source, said = write(tmp_path / "rows.csv", rows), []
    for engine in ENGINES:
        out, rejects = tmp_path / f"{engine}.csv", tmp_path / f"no-{engine}.csv"
        command = [sys.executable, "-m", "model", "predict", regression_artifact, source]
        command += ["--out", out, "--engine", engine, "--seed", "5", "--keep-columns", "id"]
        command += ["--on-error", "skip", "--rejects", rejects, "--workers", "1"]
        done = subprocess.run(
            list(map(str, command)), env=cluster.environment, capture_output=True, check=True
        )
        assert b"Traceback" not in done.stderr
        said.append(done.stdout.split(b"; ")[1])
    assert said[0] == said[1]
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert (tmp_path / "no-ray.csv").read_bytes() == (tmp_path / "no-local.csv").read_bytes()


def test_formats_masks_errors_and_resumed_runs_are_those_of_the_local_engine(
    cluster: RayCluster, regression_artifact: Path, tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole.parquet", house_rows(COUNT))
    rows = house_rows(COUNT)
    rows[5000]["quarter"] = "west"
    bad = write(tmp_path / "bad.jsonl", rows)
    broken = tmp_path / "broken.csv"
    broken.write_bytes(write(tmp_path / "text.csv", rows[:5000]).read_bytes() + b"x,\xff,1,east\n")
    cases = [
        (source, tmp_path / f"{engine}{out}", masks, {"engine": engine, **options})
        for engine in ENGINES
        for source, out, masks, options in (
            (whole, ".parquet", "per_row", {"keep": True, "workers": 2}),
            (bad, ".jsonl", "shared", ONE),
            (bad, ".jsonl", "shared", {"resume": True, "on_error": "skip", **ONE}),
            (broken, ".csv", "shared", ONE),
        )
    ]
    done = subprocess.run(
        [sys.executable, "-c", CASES, str(regression_artifact)],
        input=json.dumps(cases, default=str),
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[4:] == found[:4]
    assert found[0] == [COUNT, 0]
    assert "row 5001 (line 5001)" in found[1]
    assert found[2] == [COUNT, 4096]
    assert "not UTF-8 text" in found[3]
    for out in (".parquet", ".jsonl"):
        local, other = (tmp_path / f"{engine}{out}" for engine in ENGINES)
        assert other.read_bytes() == local.read_bytes()
