"""What devices and measurements are called in IoTDB: reversible, and made of letters, digits and `_` only.

A device is one node below ``root.iotflow.devices``; those of another tenant than the default lie below
``root.iotflow.tenants.t_NAME``. A measurement has the name that it was sent with if every IoTDB takes that without
quotes and it has no ``__``. Any other begins with ``__``, and each byte of it that is no ASCII letter or digit is `_`
and two hexadecimal digits: ``__Gr_c3_b6_c3_9fe``. One more ``__`` leads to the tag of a side series, see `iotdb_types`.
"""

import re
from typing import NamedTuple

from chalicelib.model import DEFAULT_TENANT, DeviceRef, is_plain_measurement

_ESCAPED = re.compile(r"_([0-9a-f]{2})")


class SeriesName(NamedTuple):
    """The measurement that a series belongs to; the tag is empty for its main series."""

    measurement: str
    tag: str = ""

    def encode(self) -> str:
        """The last node of the series' path."""
        return encode(self.measurement) + (f"__{self.tag}" if self.tag else "")

    @classmethod
    def decode(cls, node: str) -> "SeriesName":
        """The inverse of `encode`."""
        escaped = node.startswith("__")
        body, _, tag = node.removeprefix("__").partition("__")
        return cls(_unescape(body) if escaped else body, tag)


def encode(measurement: str) -> str:
    """The name of a measurement's main series."""
    if is_plain_measurement(measurement) and "__" not in measurement and not measurement.endswith("_"):
        return measurement
    return "__" + _escape(measurement)


def device_path(database: str, device: DeviceRef) -> str:
    """Where the device's series are."""
    if device.tenant == DEFAULT_TENANT:
        return f"{database}.devices.device_{device.id}"
    return f"{database}.tenants.t_{_escape(device.tenant)}.device_{device.id}"


def quoted(path: str) -> str:
    """*path* for SQL, where an unquoted ``a-b`` would silently be a subtraction."""
    first, *others = path.split(".")
    return ".".join([first, *(f"`{node}`" for node in others)])


def _escape(text: str) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}" for byte in text.encode())


def _unescape(text: str) -> str:
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return raw.encode("latin-1").decode()
