"""A Docker engine for tests: the one that runs, or Debian's started by hand and ended with the run."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.docker import images
from infra.failure import Failure
from tests.backends import absent
from tests.contract.eventually import eventually

BACKEND = "docker"
START_S = 60


@contextmanager
def engine() -> Iterator[None]:
    """Docker with compose and all images of docker-compose.yml; skip with the remedy, fail where it is required."""
    if shutil.which("docker") is None or not _says("docker", "compose", "version"):
        absent(BACKEND, "docker compose is missing: install Docker with its compose plugin")
    process = None if _says("docker", "info") else _started()
    try:
        try:
            images.build_missing()
        except Failure as failure:
            absent(BACKEND, str(failure))
        yield
    finally:
        if process is not None:
            process.terminate()
            process.wait(START_S)


def _started() -> subprocess.Popen[bytes]:
    """Debian's engine as a child; images are kept beside other caches of the user."""
    if shutil.which("dockerd") is None or os.getuid() != 0:
        absent(BACKEND, "no Docker engine runs: start one, or as root: apt-get install docker.io iptables debootstrap")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iotflow" / "docker"
    cache.mkdir(parents=True, exist_ok=True)
    folders = ["--data-root", str(cache / "data"), "--exec-root", str(cache / "run")]
    with (cache / "log").open("wb") as log:
        process = subprocess.Popen(
            ["dockerd", *folders, "--pidfile", str(cache / "pid")], stdout=log, stderr=log, start_new_session=True
        )
    if not eventually(lambda: _says("docker", "info"), deadline_s=START_S):
        process.kill()
        absent(BACKEND, f"dockerd does not start; {cache / 'log'} says why")
    return process


def _says(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
