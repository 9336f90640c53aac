"""Backups of running and resting installations: complete, private, and told in words."""

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib.model import Ledger
from chalicelib.times import iso_ms
from infra.backup.manifest import NAME as MANIFEST
from infra.backup.writing import write
from infra.databases import DatabaseFile, present
from infra.failure import Exit
from infra.installation import clock_ms
from tests.e2e.installation import AtRest, Installation, backup, data_of, is_settled, refusal, restore
from tests.e2e.instance import Instance, eventually, infra
from tests.e2e.posting import NO_LIMITS, Load, Owner, call, ledger, register, stored_numbers


def test_backup_under_load_restores_every_reading_acknowledged_before_it(tmp_path: Path) -> None:
    """No reading is missing, none is doubled, the ledger balances, the keys and the token work."""
    archive = tmp_path / "backup.tar.gz"
    # What was in flight at the backup shows again when its time is over, and the test need not wait for half a minute.
    with Instance(tmp_path / "var", {**NO_LIMITS, "IOTFLOW_VISIBILITY_SECONDS": "5"}) as instance:
        owners = [register(instance.url, f"device-{number}") for number in range(6)]
        with Load(instance.url, owners) as load:
            assert eventually(lambda: len(load.acknowledged) > 500)
            began_ms = iso_ms(backup(archive, instance.data)["created_at"])
            so_far = len(load.acknowledged)
            assert eventually(lambda: len(load.acknowledged) > so_far + 100)
        assert not load.refused
        assert began_ms
    restore(archive, tmp_path / "other")
    with Instance(tmp_path / "other", NO_LIMITS) as restored:
        assert eventually(lambda: is_settled(restored.url))
        book = ledger(restored.url)
        assert book.pop("balanced")
        assert book["accepted"] == book["stored"]
        for owner in owners:
            numbers = stored_numbers(restored.url, owner)
            promised = {ack.number for ack in load.acknowledged if ack.device_id == owner.id and ack.at_ms < began_ms}
            assert promised <= set(numbers)
            assert numbers == sorted(set(numbers))
            assert post(restored.url, owner, 1_000_000)[0] == 201
        headers = {"Authorization": f"Bearer {instance.token}"}
        assert call(restored.url, "/api/v1/admin/stats", headers=headers)[0] == 200
        assert not restored.token, "a restored installation has its administrator"
        assert eventually(lambda: is_settled(restored.url))
        assert ledger(restored.url)["accepted"] == book["accepted"] + len(owners)


def post(url: str, owner: Owner, number: int) -> tuple[int, Any]:
    return call(url, "/api/v1/devices/telemetry", body={"data": {"n": number}}, headers={"X-API-Key": owner.key})


def test_reading_that_waited_at_the_backup_is_stored_after_the_restore(tmp_path: Path, idle: Installation) -> None:
    """The copy of the queue is live: what was in it is delivered; what was stored already is stored again, once."""
    with closing(sqlite3.connect(idle.data / "queue.db")) as connection:
        assert connection.execute("SELECT queued FROM ledger").fetchone() == (3,)
    restore(idle.archive, tmp_path / "other")
    with Instance(tmp_path / "other") as restored:
        assert eventually(lambda: is_settled(restored.url))
        assert ledger(restored.url) == {
            "accepted": 5,
            "stored": 5,
            "queued": 0,
            "in_flight": 0,
            "dead_lettered": 0,
            "discarded": 0,
            "balanced": True,
        }
        assert stored_numbers(restored.url, idle.owner) == [0, 1, 2, 3]


def test_reading_that_is_stored_between_two_copies_is_in_one_of_them(tmp_path: Path) -> None:
    """The worst case of a busy service: after each copy it stores all that is queued, and accepts more."""
    service = AtRest(tmp_path / "var")
    service.accept(0, 1, 2)
    later = iter(range(3, 100))

    def one_by_one() -> Iterator[DatabaseFile]:
        for source in present(service.settings):
            yield source
            service.store()
            service.accept(next(later))

    service.ports.readings.check()  # the file is there before the first reading is stored
    write(tmp_path / "b.tar.gz", service.settings, one_by_one(), now_ms=clock_ms())
    restore(tmp_path / "b.tar.gz", tmp_path / "other")
    restored = AtRest(tmp_path / "other", service.owner)
    restored.store()
    assert restored.stored()[:3] == [0, 1, 2]
    assert restored.ports.queue.ledger() == Ledger(3, 3, queued=0, in_flight=0, dead_lettered=0, discarded=0)


def test_device_that_is_registered_between_two_copies_keeps_its_id(tmp_path: Path) -> None:
    """Its readings are in the backup; were it not, the next device would be given its id, and with it its readings."""
    service = AtRest(tmp_path / "var")
    service.accept(0)
    service.store()
    late: list[Owner] = []

    def one_by_one() -> Iterator[DatabaseFile]:
        for source in present(service.settings):
            late.append(service.register(f"late {source.name}"))
            service.accept(7, of=late[-1])
            service.store()
            yield source

    write(tmp_path / "b.tar.gz", service.settings, one_by_one(), now_ms=clock_ms())
    restore(tmp_path / "b.tar.gz", tmp_path / "other")
    restored = AtRest(tmp_path / "other", service.owner)
    restored.store()
    held = [owner for owner in late if restored.stored(owner)]
    assert held, "the test has to catch one in the act"
    assert restored.register("new").id > max(owner.id for owner in held)
    assert restored.ports.queue.ledger().discarded == 0


def test_backup_is_its_owners_alone_and_leaves_nothing_beside_it(idle: Installation) -> None:
    assert stat.S_IMODE(idle.archive.stat().st_mode) == 0o600
    assert sorted(file.name for file in idle.archive.parent.iterdir()) == ["backup.tar.gz", "var"]


def test_manifest_comes_first_and_tells_release_schemas_sizes_and_checksums(idle: Installation) -> None:
    assert next(iter(idle.members)) == MANIFEST
    manifest = json.loads(idle.members[MANIFEST])
    assert manifest["format"] == 1
    assert manifest["release"]
    assert [entry["name"] for entry in manifest["files"]] == list(idle.members)[1:]
    for entry in manifest["files"]:
        held = idle.members[entry["name"]]
        assert (entry["size_bytes"], entry["sha256"]) == (len(held), sha256(held).hexdigest())
        assert (entry["schema_version"] is None) == (entry["name"] == "pepper")


def test_backup_says_that_it_holds_the_pepper(idle: Installation, tmp_path: Path) -> None:
    said = infra("backup", str(tmp_path / "b.tar.gz"), *data_of(idle.data))
    assert "It holds the pepper, without which no key works: keep it as secret as the installation" in said.stdout


def test_backup_does_not_replace_a_file_unasked(idle: Installation, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_text("precious")
    sentence = refusal(infra("backup", str(file), *data_of(idle.data)), Exit.BAD_OPTION)
    assert sentence == f"{file} exists; choose another name, or --replace"
    assert file.read_text() == "precious"
    assert backup(file, idle.data, "--replace")["size_bytes"] == file.stat().st_size


def test_backup_of_nothing_is_refused(tmp_path: Path) -> None:
    sentence = refusal(infra("backup", str(tmp_path / "b.tar.gz"), *data_of(tmp_path / "var")), Exit.DATA_FOLDER)
    assert sentence == f"there is nothing to back up in {tmp_path / 'var'}"
    assert not list(tmp_path.iterdir())


def test_backup_into_a_missing_directory_is_refused(idle: Installation, tmp_path: Path) -> None:
    sentence = refusal(infra("backup", str(tmp_path / "no" / "b.gz"), *data_of(idle.data)), Exit.BAD_OPTION)
    assert sentence == f"there is no directory {tmp_path / 'no'}"


def test_damaged_database_is_not_backed_up(idle: Installation, tmp_path: Path) -> None:
    restore(idle.archive, tmp_path / "var")
    spoil(tmp_path / "var" / "devices.db")
    sentence = refusal(infra("backup", str(tmp_path / "b.tar.gz"), *data_of(tmp_path / "var")))
    assert str(tmp_path / "var" / "devices.db") in sentence
    assert "damaged" in sentence
    assert [file.name for file in tmp_path.iterdir()] == ["var"]


def spoil(database: Path) -> None:
    """Overwrite every page but the first with noise."""
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
