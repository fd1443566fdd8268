"""Asks the advisory service of PyPI about every installed package, and says what it did not learn.

`pip-audit` skips the packages that it gets no answer about, then reports that none is vulnerable.
Here they count as unchecked. The exit code is 1 where a vulnerability is known, 0 otherwise.
"""

import json
import subprocess
import sys
from typing import Any

COMMAND = ("-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable")
SHOWN = 8


def main() -> int:
    """The exit code."""
    ended = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, check=False)
    try:
        document = json.loads(ended.stdout)
    except json.JSONDecodeError:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"dependency audit: UNCHECKED, every package: pip-audit failed: {last}")
        return 0
    text, vulnerable = summary(document)
    print(text)
    return 1 if vulnerable else 0


def summary(document: dict[str, Any]) -> tuple[str, int]:
    """What pip-audit's JSON says, in lines, and how many packages are vulnerable."""
    packages = document["dependencies"]
    unchecked = [each["name"] for each in packages if "skip_reason" in each]
    vulnerable = [each for each in packages if each.get("vulns")]
    checked = len(packages) - len(unchecked)
    lines = [f"dependency audit: {checked} checked, {len(vulnerable)} of them vulnerable"]
    if unchecked:
        names = ", ".join(unchecked[:SHOWN]) + (", ..." if len(unchecked) > SHOWN else "")
        lines.append(
            f"  UNCHECKED, for the advisory service told nothing: {len(unchecked)} ({names})"
        )
    for package in vulnerable:
        for known in package["vulns"]:
            fixed = ", ".join(known["fix_versions"]) or "no version"
            lines.append(
                f"  {package['name']} {package['version']}: {known['id']}, fixed in {fixed}"
            )
    return "\n".join(lines), len(vulnerable)


if __name__ == "__main__":
    sys.exit(main())
