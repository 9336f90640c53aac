"""A full disk: 503 for what cannot be made durable, nothing lost, and no restart needed when there is space again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, eventually
from tests.e2e.load import Fleet
from tests.e2e.posting import NO_LIMITS, call

SIZE_BYTES = 8 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little space."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "iotflow-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small tmpfs: run the tests as root in a container with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def instance(small_disk: Path) -> Iterator[Instance]:
    """Its data directory is on the small disk."""
    with Instance(small_disk / "var", {**NO_LIMITS, "IOTFLOW_VISIBILITY_SECONDS": "1"}) as running:
        yield running


def fill(disk: Path) -> Path:
    """Take all the space that is left; returns the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return ballast


def refused_again(fleet: Fleet) -> bool:
    """Whether every device is told 503 a few times more."""
    enough = {device: device.outcomes["503"] + 3 for device in fleet.devices}
    return eventually(lambda: all(device.outcomes["503"] > least for device, least in enough.items()))


def test_full_disk_is_503_and_works_again_with_space(instance: Instance, small_disk: Path) -> None:
    """Also for a front and a consumer that start while it is full."""
    with Fleet(instance.url) as fleet:
        assert fleet.sends()
        ballast = fill(small_disk)
        assert refused_again(fleet)
        os.kill(instance.pids["front"], signal.SIGKILL)
        os.kill(instance.pids["consumer"], signal.SIGKILL)
        assert refused_again(fleet)
        assert call(instance.url, "/health")[0] == 200
        ballast.unlink()
        assert fleet.sends(500)
    fleet.assert_kept()
