"""What in a server's settings can lose data or lets strangers in: it is asked, with an administrator's account.

Source: seen on a real server 2.0.1-beta, see docs/iotdb.md. What its file of settings does not name has the default.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from chalicelib.adapters.iotdb_client import Client
from chalicelib.adapters.iotdb_connection import Access, Connection

LARGEST_FRAME_BYTES = 67_108_864
DEFAULT_ACCOUNT = Access("root", "root")


class Rule(NamedTuple):
    """A setting: its default, whether a value is safe, and what happens if it is not."""

    name: str
    default: str
    is_safe: Callable[[str], bool]
    consequence: str


RULES = (
    Rule("wal_mode", "ASYNC", lambda value: value.upper() == "SYNC", "a killed server loses acknowledged readings"),
    Rule(
        "enable_partial_insert",
        "true",
        lambda value: value.lower() == "false",
        "one conflict of types can make a whole file of readings unreadable",
    ),
    Rule(
        "dn_thrift_max_frame_size",
        "536870912",
        lambda value: value.isdigit() and int(value) <= LARGEST_FRAME_BYTES,
        "one large request can end the server",
    ),
)


def settings_of(text: str) -> dict[str, str]:
    """The settings in a properties file."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!")
    return {name.strip(): value.strip() for name, _, value in pairs}


def judge(settings: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each setting that is not safe."""
    for rule in RULES:
        value = settings.get(rule.name, rule.default)
        if not rule.is_safe(value):
            yield f"{rule.name} is {value} in IoTDB: {rule.consequence}"


def find(administration: Client, *, has_administrator: bool) -> list[str]:
    """Everything that is not safe, in sentences.

    Args:
        administration: Calls as the administrator, or as the account for readings if there is none.
        has_administrator: Whether the settings can be looked at.

    Raises:
        Unavailable: The server does not answer.
    """
    administration.rows("SHOW VERSION")
    found: list[str] = []
    if administration.lets_in(DEFAULT_ACCOUNT):
        found.append("IoTDB still has the password root for its account root: anybody who reaches it may do anything")
    if not has_administrator:
        return [*found, "the settings of IoTDB are unknown: IOTDB_ADMIN_USER is not set"]
    nodes = administration.rows("SHOW DATANODES")
    place = next(column.place for column in nodes.columns if column.name == "NodeID")
    for node in [node for block in nodes.blocks for node in block.columns[place]]:
        text = administration.run(partial(_settings, node=node))
        found += [risk for risk in judge(settings_of(text)) if risk not in found]
    return found


def _settings(connection: Connection, timeout_s: float, *, node: int) -> str:
    return connection.settings(node, timeout_s=timeout_s)
