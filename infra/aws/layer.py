"""The layer of functions that reach IoTDB: the generated Thrift client alone, a tenth of the published package.

The package's own session imports pandas and numpy, 30 MB that take over a second to start.
"""

import shutil
import tempfile
from pathlib import Path

from infra.aws import archive
from infra.aws.packaging import PYTHON, run
from infra.bootstrap import ROOT

REQUIREMENTS = ROOT / "infra" / "requirements" / "iotdb.txt"
FILE = "iotdb-layer.zip"
"""Beside the template, which names it."""
RUN_IN = "/opt"
"""Where Lambda unpacks a layer."""
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
UNUSED = (
    "iotdb/dbapi",
    "iotdb/sqlalchemy",
    "iotdb/template",
    "iotdb/thrift/confignode",
    "iotdb/thrift/datanode",
    "iotdb/tsfile",
    "iotdb/utils",
    "tests",
    "thrift/server",
)


def build(environment: Path, architecture: str, out: Path) -> Path:
    """Make the layer for an architecture of Lambda.

    Args:
        environment: As `packaging.environment` made it.
        architecture: ``arm64`` or ``x86_64``.
        out: The folder it is written to.

    Raises:
        Failure: A package is not there for this architecture.
    """
    python = environment / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder) / "python"
        _install(python, MACHINES[architecture], packages)
        _prune(packages)
        archive.strip(python, Path(folder), sorted(packages.iterdir()), RUN_IN)
        out.mkdir(parents=True, exist_ok=True)
        archive.write(Path(folder), out / FILE)
    return out / FILE


def _install(python: Path, machine: str, packages: Path) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
    platforms = ["--platform", f"manylinux2014_{machine}", "--platform", f"manylinux_2_28_{machine}"]
    target = ["--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:", "--target", str(packages)]
    run([*pip, *platforms, *target, "--no-deps", "-r", str(REQUIREMENTS)], "the layer cannot be installed")


def _prune(packages: Path) -> None:
    for path in [packages / name for name in UNUSED] + sorted(packages.glob("*.dist-info")):
        shutil.rmtree(path)
    for module in sorted((packages / "iotdb").glob("*.py")):
        if module.name != "__init__.py":
            module.unlink()
