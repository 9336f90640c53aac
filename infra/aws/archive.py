"""The deployment zip: strict, small and reproducible, also when plain chalice makes it.

chalice leaves out what it cannot install and says so in passing, packs whatever lies in chalicelib (the developer's
``__pycache__`` too), and ships no bytecode, which Lambda then compiles at every cold start into a read-only folder.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from chalice.deploy import packager

from infra.aws.wrapping import wrap

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold; the same for every file, or two builds would differ."""
RUN_IN = "/var/task"
"""Where Lambda unpacks it, for tracebacks."""
UNUSED = (
    "bin/",
    "pydantic/mypy.py",
    "pydantic/v1/",
    "redis/http/",
    "redis/multidb/",
    "tzdata/zoneinfo/tzdata.zi",
)
"""What nothing imports in Lambda: tools of developers, an active-active client."""
OURS = ("app.py", "chalicelib")
"""Keeps its sources, for tracebacks that say what failed; the rest keeps bytecode without docstrings."""


def install() -> None:
    """Make chalice's packager refuse incomplete packages, and finish complete ones."""
    base = packager.BaseLambdaDeploymentPackager
    wrap(base, "_iter_app_filenames", _iter_app_filenames)
    wrap(base, "_build_python_dependencies", _build_python_dependencies)
    wrap(base, "deployment_package_filename", _deployment_package_filename)
    wrap(packager.LambdaDeploymentPackager, "create_deployment_package", _create_deployment_package)


def finish(file: Path) -> None:
    """Rewrite a zip in place: without what no function needs, with bytecode, always the same for the same content."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(file) as archive:
            archive.extractall(root, members=[name for name in archive.namelist() if is_needed(name)])
        compile_all(root)
        unfinished = file.with_suffix(".unfinished")
        write(root, unfinished)
        unfinished.replace(file)


def is_needed(name: str) -> bool:
    """Whether a file of the zip has a use in Lambda."""
    folders = name.split("/")[:-1]
    if {"__pycache__", "tests"} & set(folders) or any(folder.endswith(".dist-info") for folder in folders):
        return False
    return not name.endswith((".pyi", ".typed", ".tab")) and not name.startswith(UNUSED)


def compile_all(root: Path) -> None:
    """Compile every module for this Python; the bytecode is never compared with its source.

    Raises:
        CalledProcessError: A module does not compile.
    """
    ours = [root / name for name in OURS]
    _compile(sys.executable, root, ours, RUN_IN)
    strip(Path(sys.executable), root, [path for path in sorted(root.iterdir()) if path not in ours], RUN_IN)


def strip(python: Path, root: Path, paths: Iterable[Path], run_in: str) -> None:
    """Leave bytecode without docstrings in the place of every module below *paths*.

    Args:
        python: Of the version that will run it.
        root: What will be the folder *run_in*.
        paths: Modules and packages in it.
        run_in: What tracebacks say.

    Raises:
        CalledProcessError: A module does not compile.
    """
    found = list(paths)
    _compile(str(python), root, found, run_in, "-b", "-o", "2")
    for path in found:
        for module in [path] if path.is_file() else list(path.rglob("*.py")):
            if module.with_suffix(".pyc").exists():
                module.unlink()


def _compile(python: str, root: Path, paths: list[Path], run_in: str, *options: str) -> None:
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *options]
    subprocess.run(
        [*command, "-s", str(root), "-p", run_in, *map(str, paths)],
        env={**os.environ, "PYTHONHASHSEED": "0"},  # the order of a set in bytecode depends on it
        check=True,
    )


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(root: Path, file: Path) -> None:
    """Zip a folder: the same content gives the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), EPOCH)
            entry.external_attr = (0o755 if ".so" in path.suffixes else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _create_deployment_package(original: Callable[..., str], self: Any, project_dir: str, python_version: str) -> str:
    file = Path(self.deployment_package_filename(project_dir, python_version))
    if not file.exists():
        finish(Path(original(self, project_dir, python_version)))
    return str(file)


def _deployment_package_filename(original: Callable[..., str], self: Any, project_dir: str, python_version: str) -> str:
    """A zip that another state of this module finished does not count as finished."""
    file = Path(original(self, project_dir, python_version))
    return str(file.with_stem(f"{file.stem}-{digest(Path(__file__))[:8]}"))


def _iter_app_filenames(
    original: Callable[..., Iterator[tuple[str, str]]], self: Any, project_dir: str
) -> Iterator[tuple[str, str]]:
    """The app's files in a fixed order, without the developer's bytecode."""
    files = original(self, project_dir)
    yield from sorted((pair for pair in files if "__pycache__" not in pair[1]), key=lambda pair: pair[1])


def _build_python_dependencies(
    _original: Callable[..., None], self: Any, python_version: str, requirements_filepath: str, site_packages_dir: str
) -> None:
    """In place of chalice's, which goes on without what it could not install."""
    try:
        self._dependency_builder.build_site_packages(
            self._RUNTIME_TO_ABI[python_version], requirements_filepath, site_packages_dir
        )
    except packager.MissingDependencyError as error:
        missing = ", ".join(sorted(package.identifier for package in error.missing))
        message = f"no package of {missing} runs on Lambda's {python_version}; nothing was packaged"
        raise RuntimeError(message) from error
