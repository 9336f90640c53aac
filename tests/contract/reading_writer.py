"""A process that writes readings until it is killed, and says after each write that it is acknowledged.

Arguments: the file, and the number that its first reading carries.
"""

import sys
from itertools import count

from chalicelib.adapters.sqlite_readings import SqliteReadings
from chalicelib.model import DeviceRef, Reading

READINGS_PER_WRITE = 20


def main(path: str, first: int) -> None:
    """Write batches; print the number of the last reading of each once `write` has returned."""
    store = SqliteReadings(path)
    for start in count(first, READINGS_PER_WRITE):
        numbers = range(start, start + READINGS_PER_WRITE)
        store.write([Reading(DeviceRef("default", 1 + n % 5), n, {"n": n, "even": n % 2 == 0}) for n in numbers])
        print(numbers[-1], flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
