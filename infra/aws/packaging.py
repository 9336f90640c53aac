"""The environment that packages: chalice takes the Python that runs it for the one that Lambda shall run."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from infra.bootstrap import ROOT, digest
from infra.failure import Exit, Failure

PYTHON = "3.13"
"""Lambda's runtime."""
REQUIREMENTS = (ROOT / "infra" / "requirements" / "package.txt",)
TAIL_LINES = 15
FOLDER = ROOT / "var" / "packaging"
"""Where the environment is."""


def environment(folder: Path, requirements: Sequence[Path] = REQUIREMENTS) -> Path:
    """The folder of an environment that can package, made when it is not there or not up to date.

    Args:
        folder: Where it is, or will be.
        requirements: What it holds, if it is for something else that needs Lambda's Python.

    Raises:
        Failure: There is no such Python here, or the packages cannot be installed.
    """
    note = folder / "iotflow-requirements"
    wanted = digest(requirements)
    if note.exists() and note.read_text(encoding="utf-8") == wanted:
        return folder
    if not (folder / "bin" / "python").exists():
        run([str(interpreter()), "-m", "venv", "--clear", str(folder)], f"{folder} cannot be made")
    files = [part for file in requirements for part in ("-r", str(file))]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q"]
    run([*pip, *files], f"{folder.name}: the packages cannot be installed")
    note.write_text(wanted, encoding="utf-8")
    return folder


def interpreter(search: Mapping[str, str] = os.environ) -> Path:
    """A Python of the version that Lambda runs.

    Raises:
        Failure: None is found; the sentence says how to get one.
    """
    for candidate in _candidates(search):
        if _works(candidate):
            return candidate
    message = (
        f"packaging needs Python {PYTHON}, which Lambda will run: pyenv install {PYTHON}, or uv python install {PYTHON}"
    )
    raise Failure(message, Exit.INSTALLATION)


def package(folder: Path, stage: str, out: Path, *options: str, project: Path = ROOT) -> str:
    """Run `chalice package` in the environment *folder*; returns what it printed.

    Args:
        folder: As `environment` made it.
        stage: Of the project's `.chalice/config.json`.
        out: Folder for the template and the zip.
        options: More of chalice's own.
        project: Where app.py is.

    Raises:
        Failure: chalice failed; its last words are in the sentence.
    """
    command = [str(folder / "bin" / "chalice"), "package", "--stage", stage, *options, str(out)]
    return run(command, f"chalice package --stage {stage} failed", project)


def _candidates(search: Mapping[str, str]) -> Iterator[Path]:
    found = shutil.which(f"python{PYTHON}", path=search.get("PATH"))
    if found:
        yield Path(found)
    root = Path(search.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in sorted(root.glob(f"versions/{PYTHON}.*"), reverse=True):
        yield version / "bin" / "python"


def _works(python: Path) -> bool:
    """Whether it starts: pyenv puts a script of every version's name on the PATH, which may only complain."""
    if not python.exists():
        return False
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def run(command: list[str], failure: str, folder: Path = ROOT) -> str:
    """Run a program and return what it printed.

    Args:
        command: What to run.
        failure: What its failure means.
        folder: Where to run it.

    Raises:
        Failure: It failed, or is chalice and left a dependency out; with its last words.
    """
    region = {"AWS_DEFAULT_REGION": "us-east-1"}  # chalice insists on one, and writes it nowhere
    done = subprocess.run(
        command,
        cwd=folder,
        env={**region, **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0 or "Could not install dependencies" in done.stdout:
        last = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        message = f"{failure}: {last}"
        raise Failure(message, Exit.FAILED)
    return done.stdout
