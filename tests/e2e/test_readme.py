"""What the README shows works as it stands there: its examples are taken from it and run."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.instance import ROOT, Instance

README = (ROOT / "README.md").read_text(encoding="utf-8")
LOUD_CURL = 'set -euo pipefail\ncurl() { command curl --fail-with-body --show-error "$@" && echo; }\n'
"""A refused example must end the script, and each answer stands on a line of its own."""


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_every_curl_example_works_in_the_order_of_the_page(instance: Instance) -> None:
    """Run as one script, with only the port and the token put in."""
    script = LOUD_CURL + "".join(blocks("bash")).replace("http://localhost:5000", instance.url)
    ran = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": instance.token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines() if line.strip()]
    assert len(answers) == sum(block.count("curl -s") for block in blocks("bash")) - 1
    latest = next(answer["latest_data"] for answer in answers if "latest_data" in answer)
    assert latest["temperature"] == 23.5
    assert {answer.get("stored", True) for answer in answers} == {True}
    windows = next(answer["data"] for answer in answers if "aggregation" in answer)
    assert windows[0]["temperature"] == {"avg": 22.5, "min": 20.1, "max": 24.9}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / Path(link)).exists()


def test_every_operator_command_named_exists() -> None:
    """A verb that `infra` does not know would end with a usage message."""
    verbs = set(re.findall(r"python3 -m infra ([a-z-]+)", README))
    usage = subprocess.run(
        ["python3", "-m", "infra", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert {verb for verb in verbs if not re.search(rf"\b{verb}\b", usage)} == set()
