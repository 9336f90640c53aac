"""What Lambda unpacks."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from chalice.deploy import packager

from infra.aws import archive, packaging
from infra.aws.lambda_process import Recorder
from infra.bootstrap import ROOT
from infra.failure import Failure

LARGEST_BYTES = 5_000_000
"""2.0 MB of it are pydantic-core; the aim is 4 MB."""
AARCH64 = 183
"""e_machine of an ELF file. Source: ELF for the Arm 64-bit Architecture."""


@pytest.fixture(scope="module")
def names(prod: Path) -> list[str]:
    with zipfile.ZipFile(prod / "deployment.zip") as zipped:
        return zipped.namelist()


def test_it_is_small(prod: Path, record_property: Recorder) -> None:
    size_bytes = (prod / "deployment.zip").stat().st_size
    record_property("zip_bytes", size_bytes)
    assert size_bytes < LARGEST_BYTES


def test_it_holds_the_app_and_what_the_app_needs_and_nothing_else(names: list[str]) -> None:
    assert {name.partition("/")[0] for name in names} == {
        "__pycache__",
        "annotated_types",
        "app.py",
        "chalice",
        "chalicelib",
        "pydantic",
        "pydantic_core",
        "redis",
        "typing_extensions.pyc",
        "typing_inspection",
        "tzdata",
    }
    assert not [name for name in names if "/tests/" in name]


def test_every_module_is_compiled_for_lambdas_python(names: list[str]) -> None:
    sources = [name for name in names if name.endswith(".py")]
    for name in sources:
        path = Path(name)
        assert str(path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc") in names
    assert not [name for name in names if ".cpython-3" in name and ".cpython-313" not in name]


def test_bytecode_is_never_compared_with_its_source(prod: Path) -> None:
    """The flags after the magic number say: by hash, and without a check (PEP 552)."""
    with zipfile.ZipFile(prod / "deployment.zip") as zipped:
        for name in zipped.namelist():
            if name.endswith(".pyc"):
                assert zipped.read(name)[4:8] == b"\x01\x00\x00\x00", name


def test_native_code_is_for_the_architecture_of_the_stage(prod: Path) -> None:
    with zipfile.ZipFile(prod / "deployment.zip") as zipped:
        native = [name for name in zipped.namelist() if name.endswith(".so")]
        assert native
        for name in native:
            assert int.from_bytes(zipped.read(name)[18:20], "little") == AARCH64, name


def test_the_same_sources_give_the_same_zip_in_another_place_at_another_time(
    environment: Path, prod: Path, tmp_path: Path
) -> None:
    """What a developer's tools leave in chalicelib does not get in."""
    project = tmp_path / "elsewhere"
    for name in ("app.py", "requirements.txt", "chalicelib", "infra", ".chalice/config.json"):
        (shutil.copytree if (ROOT / name).is_dir() else _copy)(ROOT / name, project / name)
    for policies in (ROOT / ".chalice").glob("policy-*.json"):
        _copy(policies, project / ".chalice" / policies.name)
    junk = project / "chalicelib" / "__pycache__" / "left.cpython-311.pyc"
    junk.parent.mkdir(exist_ok=True)
    junk.write_bytes(b"junk")
    packaging.package(environment, "prod", tmp_path / "out", project=project)
    assert archive.digest(tmp_path / "out" / "deployment.zip") == archive.digest(prod / "deployment.zip")


def test_a_dependency_that_cannot_be_packaged_ends_the_build(tmp_path: Path) -> None:
    """Plain chalice prints a notice, leaves the dependency out and exits with 0."""
    wheel = tmp_path / "wheels" / "nowhere-1.0-cp313-cp313-win32.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("nowhere-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nowhere\nVersion: 1.0\n")

    class Incomplete:
        def build_site_packages(self, *_arguments: object) -> None:
            raise packager.MissingDependencyError({packager.Package(str(wheel.parent), wheel.name)})

    class Packager:
        _RUNTIME_TO_ABI = packager.BaseLambdaDeploymentPackager._RUNTIME_TO_ABI
        _dependency_builder = Incomplete()

    with pytest.raises(RuntimeError, match=r"no package of nowhere==1.0 runs on Lambda's python3.13"):
        archive._build_python_dependencies(lambda: None, Packager(), "python3.13", "requirements.txt", "site")


def test_chalices_notice_of_a_missing_dependency_is_a_failure(tmp_path: Path) -> None:
    chalice = tmp_path / "bin" / "chalice"
    chalice.parent.mkdir()
    chalice.write_text("#!/bin/sh\necho 'Could not install dependencies:'; echo numpy==2.4.6\n")
    chalice.chmod(0o755)
    with pytest.raises(Failure, match=r"numpy==2\.4\.6"):
        packaging.package(tmp_path, "prod", tmp_path / "out")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def test_plain_chalice_is_what_packages(environment: Path) -> None:
    """The wrapped methods are not chalice's published interface: another version has to be looked at first."""
    shown = subprocess.run([environment / "bin" / "chalice", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("chalice 1.34.")
