"""What Mosquitto is told: text made from the catalogue of topics and from what was chosen."""

from pathlib import Path

import pytest

from chalicelib.keys import broker_hash
from chalicelib.ports import BrokerAccount
from chalicelib.topics import CATALOGUE, Kind
from infra.failure import Failure
from infra.mosquitto import files, layout, programs
from infra.mosquitto.layout import DYNSEC, PASSWORDS, Layout

BARE = Layout(
    kind=DYNSEC,
    folder=Path("/broker"),
    host="127.0.0.1",
    port=1883,
    websocket_port=0,
    tls_port=0,
    certificate=None,
    private_key=None,
    internal_host="127.0.0.1",
    internal_port=1884,
    max_packet_bytes=70_000,
    plugin="/lib/plugin.so",
    user="",
)


def listeners(text: str) -> list[list[str]]:
    """The lines of each listener."""
    return [part.splitlines() for part in text.split("\nlistener ")[1:]]


def test_acknowledged_messages_are_never_dropped_by_their_number() -> None:
    lines = layout.configuration(BARE).splitlines()
    for line in ("max_queued_messages 0", "persistence true", "autosave_interval 1", "max_packet_size 70000"):
        assert line in lines
    assert "allow_anonymous false" in lines
    assert "per_listener_settings false" in lines


def test_every_listener_of_devices_binds_the_client_id_and_the_bridges_does_not() -> None:
    secured = BARE._replace(tls_port=8883, certificate=Path("/crt"), private_key=Path("/key"))
    found = listeners(layout.configuration(secured._replace(websocket_port=9001)))
    assert [each[0].split()[0] for each in found] == ["1883", "9001", "8883", "1884"]
    assert ["use_username_as_clientid true" in each for each in found] == [True, True, True, False]
    assert "tls_version tlsv1.2" in found[2]


@pytest.mark.parametrize(("kind", "there"), [(DYNSEC, "plugin /lib/plugin.so"), (PASSWORDS, "password_file /broker/")])
def test_layout_says_where_accounts_are(kind: str, there: str) -> None:
    text = layout.configuration(BARE._replace(kind=kind))
    assert there in text
    assert ("plugin" in text) == (kind == DYNSEC)


def test_devices_may_do_what_the_catalogue_of_topics_says() -> None:
    assert layout.access().splitlines()[1:] == [
        "user bridge",
        "topic readwrite iotflow/#",
        "pattern write iotflow/devices/%u/telemetry",
        "pattern write iotflow/devices/%u/telemetry/+",
        "pattern write iotflow/devices/%u/status",
        "pattern write iotflow/devices/%u/status/+",
        "pattern write iotflow/devices/%u/heartbeat",
        "pattern read iotflow/devices/%u/commands",
        "pattern read iotflow/devices/%u/commands/+",
        "pattern write iotflow/devices/%u/commands/+/ack",
        "pattern read iotflow/devices/%u/config",
    ]
    theirs = [entry for entry in CATALOGUE if entry.kind not in {Kind.DISCOVERY, Kind.THINGSBOARD}]
    assert len(layout.device_filters("1")) == len(theirs)


def test_everything_else_is_denied_in_so_many_words() -> None:
    (device,) = [role for role in layout.dynsec([])["roles"] if role["rolename"] == "device"]
    denied = {rule["topic"] for rule in device["acls"] if not rule["allow"]}
    assert denied == {"#", "$share/#", "$SYS/#", "$CONTROL/#"}
    lowest = min(rule["priority"] for rule in device["acls"] if rule["allow"])
    assert lowest > max(rule["priority"] for rule in device["acls"] if not rule["allow"])
    assert layout.dynsec([])["defaultACLAccess"]["publishClientReceive"] is False


def test_device_in_the_file_is_bound_to_its_id_and_key() -> None:
    hashed = broker_hash("secret")
    made = layout.device(BrokerAccount(7, enabled=False, key_id="kid", key_hash=hashed))
    assert (made["username"], made["clientid"], made["textname"], made["disabled"]) == ("7", "7", "kid", True)
    assert hashed == f"$7${made['iterations']}${made['salt']}${made['password']}"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"clients": []}', "null"])
def test_file_of_accounts_that_was_cut_off_is_made_again(tmp_path: Path, content: str) -> None:
    device = BrokerAccount(7, enabled=True, key_id="kid", key_hash=broker_hash("secret"))
    files.write(tmp_path, BARE, [])
    first = files.accounts(tmp_path)
    assert not files.is_damaged(tmp_path)
    (tmp_path / "dynsec.json").write_text(content, encoding="utf-8")
    assert files.is_damaged(tmp_path)
    files.write(tmp_path, BARE, [device])
    assert not files.is_damaged(tmp_path)
    assert '"username": "7"' in (tmp_path / "dynsec.json").read_text(encoding="utf-8")
    assert files.accounts(tmp_path) == first


def test_missing_plugin_is_told_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="apt-get install mosquitto"):
        programs.plugin([str(tmp_path)])
    nested = tmp_path / "x86_64-linux-gnu"
    nested.mkdir()
    (nested / programs.PLUGIN).touch()
    assert programs.plugin([str(tmp_path)]) == str(nested / programs.PLUGIN)
