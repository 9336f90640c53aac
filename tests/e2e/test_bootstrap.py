"""`.venv` is made, mended and entered, by whatever Python the user has."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bootstrap import REQUIREMENTS, Environment
from infra.failure import Exit, Failure
from tests.e2e.instance import ROOT

ENTER = "import sys; from infra import bootstrap; bootstrap.enter(['-c', 'import sys; print(sys.prefix)'])"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our bootstrap and nothing to install: these tests are not about the packages."""
    (tmp_path / "infra" / "requirements").mkdir(parents=True)
    for name in ("__init__.py", "bootstrap.py", "failure.py"):
        shutil.copy(ROOT / "infra" / name, tmp_path / "infra" / name)
    for name in ("local.txt", "iotdb.txt"):
        (tmp_path / "infra" / "requirements" / name).write_text("# nothing\n")
    return tmp_path


def enter(project: Path) -> "subprocess.Popen[str]":
    """Enter its `.venv` from the Python that runs the tests, as the system's."""
    return subprocess.Popen(
        [sys.executable, "-c", ENTER], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def entered(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Where Python runs in the end, and what was said on the way there."""
    output, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return output.strip(), said


def test_environment_is_made_once_entered_silently_and_mended_when_a_pin_changes(project: Path) -> None:
    venv = str(project / ".venv")
    prefix, said = entered(enter(project))
    assert prefix == venv
    assert said.startswith("Making .venv with Python 3.")
    assert entered(enter(project)) == (venv, "")
    (project / "infra" / "requirements" / "local.txt").write_text("# nothing, again\n")
    _prefix, said = entered(enter(project))
    assert said.startswith("Installing the pinned packages")


def test_missing_venv_module_is_told_with_the_package_to_install(project: Path) -> None:
    """As on a Debian without python3-venv."""
    code = "import sys; sys.modules['ensurepip'] = None; " + ENTER
    refused = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    assert refused.stderr.splitlines()[-1].endswith("is not installed: apt-get install python3-venv")


def test_old_python_is_refused_in_one_sentence() -> None:
    code = "import sys; sys.version_info = (3, 10, 1); from infra.__main__ import main; sys.exit(main(['up']))"
    refused = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == Exit.INSTALLATION
    assert refused.stderr == "iotflow: this needs Python 3.11 or newer, not 3.10\n"


def test_two_at_once_make_one_environment(project: Path) -> None:
    both = [enter(project), enter(project)]
    results = [entered(process) for process in both]
    assert [prefix for prefix, _said in results] == [str(project / ".venv")] * 2
    assert sum("Making .venv" in said for _prefix, said in results) == 1


def test_interrupted_installation_is_done_again(project: Path) -> None:
    """A kill -9 in the middle leaves the mark that every installation begins with."""
    entered(enter(project))
    (project / ".venv" / "iotflow-unfinished").touch()
    shutil.rmtree(project / ".venv" / "lib")
    _prefix, said = entered(enter(project))
    assert "Making .venv" in said


def test_failed_installation_says_why_and_can_be_tried_again(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    requirements = project / "infra" / "requirements" / "local.txt"
    requirements.write_text("./absent-1.0-py3-none-any.whl\n")
    environment = Environment(project / ".venv")
    with pytest.raises(Failure, match="pip could not install") as raised:
        environment.install([requirements])
    assert raised.value.code == Exit.INSTALLATION
    assert "absent-1.0" in capfd.readouterr().err
    requirements.write_text("# nothing\n")
    _prefix, said = entered(enter(project))
    assert "Making" not in said, "the environment was fine, only a package was not"


def test_plain_environment_holds_the_client_of_iotdb_without_what_the_package_asks_for(tmp_path: Path) -> None:
    """What an operator gets: `up --store iotdb` needs no packages of the tests."""
    environment = Environment(tmp_path / "venv")
    environment.install(REQUIREMENTS)
    code = "import sys, app, chalicelib.adapters.iotdb_readings; print(*sorted(sys.modules))"
    imported = subprocess.run(
        [environment.python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert imported.returncode == 0, imported.stderr
    assert "iotdb.thrift.rpc.IClientRPCService" in imported.stdout.split()
    assert not {"pandas", "numpy", "sqlalchemy"} & {name.partition(".")[0] for name in imported.stdout.split()}
    assert not [*(tmp_path / "venv").glob("lib/python3*/site-packages/pandas")]
