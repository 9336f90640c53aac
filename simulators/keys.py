"""The keys of simulated devices from earlier runs, in a file only its owner can read."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEFAULT_PATH = Path(__file__).resolve().parents[1] / "var" / "simulators" / "keys.json"

KeysByUrl = dict[str, dict[str, str]]


class KeyFile:
    """Keys by service URL and device name. Several programs may use one file at the same time.

    Args:
        path: the file; made, with its folders, at the first key.
        url: the service whose keys these are.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url.rstrip("/")

    def check(self) -> None:
        """Make sure that the file can be read and written.

        Raises:
            OSError: it cannot, or not its folder.
            ValueError: it is not JSON.
        """
        with self._locked():
            self._read()

    def get(self, name: str) -> str | None:
        """Return the device's key, or None when no run has saved one."""
        return self._read().get(self._url, {}).get(name)

    def put(self, name: str, api_key: str) -> None:
        """Keep the device's key, in place of an earlier one."""
        with self._locked():
            keys = self._read()
            keys.setdefault(self._url, {})[name] = api_key
            fresh = self._path.with_suffix(".new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(keys, file, indent=1)
            fresh.replace(self._path)

    def _read(self) -> KeysByUrl:
        if not self._path.exists():
            return {}
        keys: KeysByUrl = json.loads(self._path.read_text(encoding="utf-8"))
        return keys

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
