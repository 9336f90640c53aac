"""Images for docker-compose.yml where no image registry can be reached.

They have the same names, and are made of packages of Debian, PyPI and Maven. Tests run against these; elsewhere Docker
loads the official ones.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra.aws import packaging
from infra.bootstrap import ROOT
from infra.docker.files import FOLDER
from infra.emulators.recipes import DYNAMODB
from infra.failure import Exit, Failure
from infra.iotdb.jars import JARS

STANDINS = FOLDER / "standins"
BASE, PYTHON = "debian:bookworm-slim", "python:3.13-slim-bookworm"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def build_missing() -> list[str]:
    """Build the images that are not there; returns their names.

    Raises:
        Failure: One cannot be built.
    """
    made = []
    for name, build in IMAGES.items():
        if not _is_there(name):
            with tempfile.TemporaryDirectory() as folder:
                build(name, Path(folder))
            made.append(name)
    return made


def _base(name: str, folder: Path) -> None:
    """Debian, with this machine's authorities, so that pip in containers trusts whom the machine trusts."""
    root = folder / "root"
    _run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root))
    shutil.copyfile(f"/{CERTIFICATES}", root / CERTIFICATES)
    (root / "etc" / "pip.conf").write_text(f"[global]\ncert = /{CERTIFICATES}\n", encoding="ascii")
    archive = folder / "root.tar"
    _run("tar", "-C", str(root), "--exclude=./var/cache/apt/archives/*.deb", "-cf", str(archive), ".")
    _run("docker", "import", "-c", 'CMD ["bash"]', "-c", f"ENV {PATH}", str(archive), name)


def _python(name: str, folder: Path) -> None:
    """The interpreter that packages for Lambda, moved into the image."""
    home = packaging.interpreter().resolve().parent.parent
    ignored = shutil.ignore_patterns("test", "__pycache__", "*.a", "site-packages")
    shutil.copytree(home, folder / "python", symlinks=True, ignore=ignored)
    _build(name, folder, "python")


def _plain(name: str, folder: Path) -> None:
    _build(name, folder, name.partition(":")[0].rpartition("/")[2].removeprefix("eclipse-"))


def _iotdb(name: str, folder: Path) -> None:
    shutil.copytree(JARS.resolve(), folder / "lib")
    shutil.copyfile(ROOT / "infra" / "iotdb" / "logback.xml", folder / "logback.xml")
    shutil.copyfile(STANDINS / "iotdb.sh", folder / "iotdb.sh")
    _build(name, folder, "iotdb")


def _localstack(name: str, folder: Path) -> None:
    shutil.copytree(DYNAMODB.jars.resolve(), folder / "dynamodb")
    shutil.copyfile(STANDINS / "localstack.py", folder / "localstack.py")
    shutil.copyfile(ROOT / "infra" / "requirements" / "localstack.txt", folder / "localstack.txt")
    _build(name, folder, "localstack")


IMAGES: dict[str, Callable[[str, Path], None]] = {
    BASE: _base,
    "redis:7-alpine": _plain,
    "eclipse-mosquitto:2": _plain,
    "apache/iotdb:2.0.8-standalone": _iotdb,
    PYTHON: _python,
    "localstack/localstack:4.14.0": _localstack,
}
"""In the order in which they build on each other."""


def _build(name: str, folder: Path, recipe: str) -> None:
    _run("docker", "build", "-q", "-t", name, "-f", str(STANDINS / f"{recipe}.Dockerfile"), str(folder))


def _is_there(name: str) -> bool:
    command = ["docker", "image", "inspect", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}  # Debian's docker has no buildx
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        message = f"{' '.join(command[:3])} failed: {' '.join(last)}"
        raise Failure(message, Exit.INSTALLATION)
