"""What a server's settings put at risk is told: of a safe server nothing, of one with its defaults everything."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import status
from chalicelib.adapters.iotdb_client import Node
from chalicelib.adapters.iotdb_connection import Access
from chalicelib.adapters.iotdb_readings import IotdbReadings
from chalicelib.adapters.iotdb_risks import judge, settings_of
from infra.doctor import iotdb as doctor
from infra.doctor.finding import Level
from infra.iotdb.server import Server
from infra.supervisor import procfs
from tests.contract import iotdb_server

SAFE = {"wal_mode": "SYNC", "enable_partial_insert": "false", "dn_thrift_max_frame_size": "8388608"}


class UnsafeServer(Server):
    """One with the settings that IoTDB comes with."""

    def _configure(self, port: int) -> dict[str, int]:
        seeds = super()._configure(port)
        file = self.home / "conf" / "iotdb-system.properties"
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join(line for line in lines if line.partition("=")[0] not in SAFE), encoding="utf-8")
        return seeds


@pytest.fixture(scope="module")
def unsafe() -> Iterator[IotdbReadings]:
    """A store whose server has every unsafe setting, and IoTDB's own password."""
    iotdb_server.require_iotdb()
    with tempfile.TemporaryDirectory(prefix="iotdb-") as folder:
        server = UnsafeServer(Path(folder))
        server.start()
        try:
            with iotdb_server.administrator(server) as client:
                client.execute("ALTER USER `root` SET PASSWORD 'root'")
            writer, administrator = server.accounts().access("writer"), Access("root", "root")
            store = IotdbReadings([iotdb_server.node_of(server)], writer, administrator=administrator)
            yield store
            store.close()
        finally:
            server.kill()


def test_server_with_its_own_defaults_is_warned_of(unsafe: IotdbReadings) -> None:
    found = status.risks(unsafe)
    assert [text.partition(" ")[0] for text in found] == ["IoTDB", *SAFE]
    assert "the password root" in found[0]
    assert found[1] == "wal_mode is ASYNC in IoTDB: a killed server loses acknowledged readings"
    findings = list(doctor.answers(unsafe, "here"))
    assert [one.level for one in findings] == [Level.WARNING] * 4
    assert all("iotdb-system.properties" in one.remedy for one in findings)


def test_server_that_we_start_has_no_risks(iotdb: Server) -> None:
    with iotdb_server.store_of(iotdb) as store:
        assert store.risks() == []
        (finding,) = doctor.answers(store, "here")
    assert finding.level is Level.OK


def test_settings_that_cannot_be_looked_at_are_told(iotdb: Server) -> None:
    store = IotdbReadings([iotdb_server.node_of(iotdb)], iotdb.accounts().access("writer"))
    assert store.risks() == ["the settings of IoTDB are unknown: IOTDB_ADMIN_USER is not set"]
    store.close()


def test_release_that_listens_everywhere_is_told(iotdb: Server) -> None:
    assert procfs.is_open_to_others(iotdb.port)
    assert doctor.reach(iotdb.port, open_to_others=True).level is Level.WARNING
    assert doctor.reach(iotdb.port, open_to_others=False).level is Level.OK


def test_server_that_does_not_answer_is_wrong_and_has_no_risks() -> None:
    store = IotdbReadings([Node("127.0.0.1", 1)], Access("writer", "secret-word"))
    assert status.risks(store) == []
    (finding,) = doctor.answers(store, "127.0.0.1:1")
    assert finding.level is Level.WRONG
    assert "secret-word" not in finding.sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wal_mode", "DISABLE"),
        ("wal_mode", "ASYNC"),
        ("enable_partial_insert", "true"),
        ("dn_thrift_max_frame_size", "67108865"),
        ("dn_thrift_max_frame_size", "none"),
    ],
)
def test_each_unsafe_value_is_judged(name: str, value: str) -> None:
    assert list(judge(SAFE)) == []
    (sentence,) = judge({**SAFE, name: value})
    assert sentence.startswith(f"{name} is {value} in IoTDB: ")


def test_file_of_settings_is_read_as_java_does() -> None:
    text = "# wal_mode=ASYNC\n\n! comment\n wal_mode = SYNC \nempty=\n"
    assert settings_of(text) == {"wal_mode": "SYNC", "empty": ""}
