"""Retention by the server's TTL rules: at most 1000, a rule of a longer path wins, and they outlive the database.

One rule for the whole database has the most days that any device type has, and a rule for each device that has fewer.
So a device that is new, and has no rule yet, loses nothing. Where that takes too many rules, the devices are left to
deletes. All rules below the database are IoTFlow's: others are removed.

Source: seen on 2.0.1-beta. ``device_1.**`` does not hold for device_1 itself; setting one takes 20 to 100 ms.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_names import device_path, quoted
from chalicelib.adapters.iotdb_status import TOO_MANY_RULES, Refusal
from chalicelib.model import DeviceRef
from chalicelib.windows import DAY_MS

MAX_RULES = 900
"""Of the server's 1000: other databases need some."""
FOREVER = "INF"


class Rules:
    """The rules of one database.

    Args:
        client: The calls.
        database: Its path.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database
        self._all = f"{database}.**"
        self._below = f"{database}."

    def ages_ms(self, devices: Iterable[DeviceRef]) -> dict[DeviceRef, int | None]:
        """How old each device's readings may be; None for ever."""
        rules = self._read()
        return {device: _age_ms(device_path(self._database, device), rules) for device in devices}

    def make(self, longest: int, shorter: Sequence[tuple[DeviceRef, int]]) -> bool:
        """Have exactly these rules, in days; 0 is for ever. False if they are too many: then only the first.

        Rules are made before others go, so that nothing is hidden between two statements that both would keep.
        """
        if len(shorter) > MAX_RULES:
            self._make(longest, [])
            return False
        try:
            self._make(longest, shorter)
        except Refusal as refused:
            if refused.code != TOO_MANY_RULES:
                raise
            self._make(longest, [])
            return False
        return True

    def _make(self, longest: int, shorter: Sequence[tuple[DeviceRef, int]]) -> None:
        wanted = {device_path(self._database, device): days * DAY_MS for device, days in shorter}
        if longest:
            wanted[self._all] = longest * DAY_MS
        there = {path: age for path, age in self._read().items() if path.startswith(self._below)}
        for path, age_ms in wanted.items():
            if there.get(path) != str(age_ms):
                self._client.execute(f"SET TTL TO {_quoted(path)} {age_ms:d}")
        for path in there.keys() - wanted.keys():
            with suppress(Refusal):  # somebody else was quicker
                self._client.execute(f"UNSET TTL FROM {_quoted(path)}")

    def _read(self) -> dict[str, str]:
        answer = self._client.rows("SHOW ALL TTL")
        places = {column.name.partition("(")[0]: column.place for column in answer.columns}
        rows = [
            row
            for block in answer.blocks
            for row in zip(block.columns[places["Device"]], block.columns[places["TTL"]], strict=True)
        ]
        return {path.replace("`", ""): age for path, age in rows}


def _age_ms(path: str, rules: Mapping[str, str]) -> int | None:
    """The age in the rule that holds for a device: the one of the longest path."""
    parts = path.split(".")
    paths = [path, *(".".join(parts[:end]) + ".**" for end in range(len(parts) - 1, 0, -1))]
    found = next((rules[each] for each in paths if each in rules), FOREVER)
    return None if found == FOREVER else int(found)


def _quoted(path: str) -> str:
    return f"{quoted(path.removesuffix('.**'))}.**" if path.endswith(".**") else quoted(path)
