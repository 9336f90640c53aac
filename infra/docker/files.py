"""What the containers of docker-compose.yml are told, as files beside this module; one out of date fails a test."""

import json
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from infra.aws.functions import DEPLOYED
from infra.aws.names import dead_letters_name, queue_name, table_name
from infra.aws.table import table
from infra.bootstrap import ROOT
from infra.mosquitto import layout
from infra.mosquitto.layout import ADMIN, BRIDGE, DYNSEC, Layout

FOLDER = ROOT / "infra" / "docker"
STAGE = "local"
INSIDE = Path("/mosquitto/data")
PLUGIN = "/usr/lib/mosquitto_dynamic_security.so"
INTERNAL_PORT = 1884
MAX_RECEIVES = int(DEPLOYED["IOTFLOW_MAX_RECEIVES"])


def files() -> dict[Path, str]:
    """The content of each file."""
    return {
        FOLDER / "mosquitto" / layout.CONFIGURATION: layout.configuration(_broker()),
        FOLDER / "mosquitto" / layout.ACCESS: layout.access(),
        FOLDER / "mosquitto" / layout.DYNSEC_FILE: _json(layout.dynsec(_account(name) for name in (ADMIN, BRIDGE))),
        FOLDER / "localstack" / "resources.json": _json(_resources()),
    }


def stale() -> list[Path]:
    """Files that are not what they should be."""
    return [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def write() -> list[Path]:
    """Bring every file up to date; returns those that were not."""
    changed = stale()
    for path in changed:
        path.write_text(files()[path], encoding="utf-8")
    return changed


def _broker() -> Layout:
    """As for a broker here, but within the container every address is its own network's."""
    return Layout(
        kind=DYNSEC,
        folder=INSIDE,
        host="0.0.0.0",  # noqa: S104 - the container's; compose binds it to loopback
        port=1883,
        websocket_port=9001,
        tls_port=0,
        certificate=None,
        private_key=None,
        internal_host="0.0.0.0",  # noqa: S104
        internal_port=INTERNAL_PORT,
        max_packet_bytes=Settings().max_batch_bytes + layout.OVERHEAD_BYTES,
        plugin=PLUGIN,
        user="mosquitto",
    )


def _account(name: str) -> dict[str, Any]:
    """Words between at signs are replaced by the container, which makes the passwords."""
    made = layout.client(name, f"$7$0$@{name}_salt@$@{name}_password@", name)
    return {**made, "iterations": f"@{name}_iterations@"}


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def _resources() -> dict[str, Any]:
    return {
        "queue": queue_name(STAGE),
        "dead_letters": dead_letters_name(STAGE),
        "max_receives": MAX_RECEIVES,
        "table": table(table_name(STAGE))["Properties"],
    }
