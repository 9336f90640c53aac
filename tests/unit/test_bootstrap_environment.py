"""When `.venv` is fresh."""

import json
import sys
from pathlib import Path

import pytest

from infra.bootstrap import Environment, digest
from infra.failure import Failure


@pytest.fixture
def requirements(tmp_path: Path) -> tuple[Path, ...]:
    file = tmp_path / "local.txt"
    file.write_text("six==1.17.0\n")
    return (file,)


@pytest.fixture
def environment(tmp_path: Path, requirements: tuple[Path, ...]) -> Environment:
    """One as an installation leaves it, whose Python is the one of this test."""
    environment = Environment(tmp_path / ".venv")
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(Path(sys.executable).resolve())
    (environment.folder / "pyvenv.cfg").touch()
    note = {"python": "{}.{}".format(*sys.version_info), "local.txt": digest(requirements)}
    (environment.folder / "iotflow.json").write_text(json.dumps(note))
    return environment


def test_environment_is_fresh_after_an_installation(environment: Environment, requirements: tuple[Path, ...]) -> None:
    assert environment.is_fresh(requirements)


def test_environment_that_is_absent_is_stale(tmp_path: Path, requirements: tuple[Path, ...]) -> None:
    assert not Environment(tmp_path / "absent").is_fresh(requirements)


def test_environment_is_stale_when_a_pin_changes(environment: Environment, requirements: tuple[Path, ...]) -> None:
    requirements[0].write_text("six==1.16.0\n")
    assert not environment.is_fresh(requirements)


def test_environment_is_stale_for_files_that_were_never_installed(
    environment: Environment, requirements: tuple[Path, ...], tmp_path: Path
) -> None:
    more = tmp_path / "requirements-dev.txt"
    more.write_text("pytest\n")
    assert not environment.is_fresh((*requirements, more))


def test_environment_is_stale_when_an_installation_was_interrupted(
    environment: Environment, requirements: tuple[Path, ...]
) -> None:
    (environment.folder / "iotflow-unfinished").touch()
    assert not environment.is_fresh(requirements)


def test_environment_is_stale_when_its_python_was_replaced(
    environment: Environment, requirements: tuple[Path, ...]
) -> None:
    """An upgrade of the system's Python leaves the packages in a folder that the new one does not read."""
    note = environment.folder / "iotflow.json"
    note.write_text(note.read_text().replace('"3.', '"2.'))
    assert not environment.is_fresh(requirements)


def test_environment_is_stale_when_its_python_is_gone(
    environment: Environment, requirements: tuple[Path, ...], tmp_path: Path
) -> None:
    environment.python.unlink()
    environment.python.symlink_to(tmp_path / "uninstalled")
    assert not environment.is_fresh(requirements)


def test_environment_is_stale_without_its_configuration(
    environment: Environment, requirements: tuple[Path, ...]
) -> None:
    """Its Python would then be the system's, and entering it would never end."""
    (environment.folder / "pyvenv.cfg").unlink()
    assert not environment.is_fresh(requirements)


@pytest.mark.parametrize("note", ["", "{", "[]", "null"])
def test_environment_with_a_damaged_note_is_stale(
    environment: Environment, requirements: tuple[Path, ...], note: str
) -> None:
    (environment.folder / "iotflow.json").write_text(note)
    assert not environment.is_fresh(requirements)


def test_an_environment_that_belongs_to_somebody_else_is_left_alone(
    environment: Environment, requirements: tuple[Path, ...], tmp_path: Path
) -> None:
    """A link would let this project's pins change, or empty, the environment of another."""
    link = tmp_path / "elsewhere"
    link.symlink_to(environment.folder)
    with pytest.raises(Failure, match="is a link"):
        Environment(link).install(requirements, verbose=False)

    assert environment.is_fresh(requirements)
