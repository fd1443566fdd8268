"""The files of other projects that this one keeps are those that their projects published."""

import re
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("app/pages/static/vendor", "tests/vendor/axe-core")
SUMS = (ROOT / "tests/vendor/SHA256SUMS").read_text()


def test_each_file_of_another_project_is_as_published_and_has_its_licence_beside_it() -> None:
    listed = {path: digest for digest, path in re.findall(r"^(\w{64})  (\S+)$", SUMS, re.M)}
    there = [path for folder in FOLDERS for path in (ROOT / folder).iterdir()]
    assert sorted(listed) == sorted(path.relative_to(ROOT).as_posix() for path in there)
    for path, digest in listed.items():
        assert sha256((ROOT / path).read_bytes()).hexdigest() == digest, path
    for folder in FOLDERS:
        assert [path for path in listed if path.startswith(folder) and "LICENSE" in path]
    assert len(re.findall(r"^# npm \S+@\d+\.\d+\.\d+$", SUMS, re.M)) == len(FOLDERS)
