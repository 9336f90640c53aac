"""A real Mosquitto is told of devices by the worker of the bridge, whatever dies or is away meanwhile."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib import devices, provisioning
from chalicelib.devices import Registered
from chalicelib.keys import parse_key
from chalicelib.model import DeviceDraft, DeviceStatus
from chalicelib.provisioning import Records
from chalicelib.settings import from_environment
from chalicelib.wiring import Services
from infra.failure import Failure
from infra.mosquitto import files
from infra.mosquitto.layout import DYNSEC, PASSWORDS
from infra.mosquitto.server import Server
from mqtt_bridge.provisioning import Provisioning
from tests.contract.eventually import eventually
from tests.contract.mosquitto_broker import KINDS, device_port, is_let_in, running
from tests.e2e.mqtt_peer import Peer

KICK_S = 2.0
DEADLINE_S = 30.0


class Site:
    """An installation's records, and a broker that is told of them while `telling`."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server = server
        environment = server.environment() | {"IOTFLOW_DATA": str(folder / "var"), "IOTFLOW_PEPPER": "p" * 32}
        self.services = Services(from_environment(environment))
        self.records = Records(self.services.devices, self.services.credentials, self.services.pepper)

    def register(self, name: str) -> Registered:
        """A device and its key, as HTTP makes them."""
        return devices.register(
            DeviceDraft(name=name, device_type="sensor"),
            devices=self.services.devices,
            credentials=self.services.credentials,
            pepper=self.services.pepper,
            now_ms=now_ms(),
        )

    def rotate(self, made: Registered, key: str, *, overlap_s: int) -> str:
        """A new key."""
        return devices.rotate_key(
            made.device.ref,
            id_of(key),
            overlap_s=overlap_s,
            credentials=self.services.credentials,
            pepper=self.services.pepper,
            now_ms=now_ms(),
        ).text

    def become(self, made: Registered, status: DeviceStatus) -> None:
        """Another status."""
        devices.change(
            made.device.ref,
            lambda current: replace(current, status=status),
            devices=self.services.devices,
            now_ms=now_ms(),
        )

    def lets_in(self, made: Registered, key: str) -> bool:
        """Whether the device gets in now."""
        return is_let_in(self.server, made.device.id, key)

    def opens(self, made: Registered, key: str) -> bool:
        """Whether the device gets in before a deadline."""
        return eventually(lambda: self.lets_in(made, key), DEADLINE_S)

    def told(self) -> bool:
        """Whether everything is told before a deadline."""
        return eventually(lambda: self.services.broker_outbox.count() == 0, DEADLINE_S)

    def reconcile(self) -> provisioning.Reconciled:
        """Compare now."""
        broker = self.services.broker
        assert broker is not None
        try:
            return provisioning.reconcile(
                outbox=self.services.broker_outbox, records=self.records, broker=broker, now_ms=now_ms()
            )
        finally:
            broker.close()

    def start_again(self) -> None:
        """Start the broker; 2.0.11 that is killed may leave half a file of accounts, which is then made again."""
        if self.server.choices["kind"] == DYNSEC and files.is_damaged(self.server.home):
            pages = provisioning.accounts(self.records, now_ms=now_ms())
            self.server.configure(self.services.settings, [each for page in pages for each in page])
        self.server.start()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """The worker runs, as in the bridge."""
        broker = Services(self.services.settings).broker
        assert broker is not None
        worker = Provisioning(self.services, broker, chance=lambda limit_s: min(limit_s, 0.2))
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000


def id_of(key: str) -> str:
    """The public part of a key."""
    parsed = parse_key(key)
    assert parsed is not None
    return parsed.id


def connected(site: Site, made: Registered, key: str) -> Peer:
    """The device, connected."""
    assert site.opens(made, key)
    peer = Peer(device_port(site.server))
    assert peer.connect(str(made.device.id), key).reason == 0
    return peer


def is_cut_off(peer: Peer) -> bool:
    """Whether the connection ends within the time that operators are promised."""
    packet = peer.receive(KICK_S)
    return packet is None or packet.kind == 14


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "broker", request.param) as server:
        yield Site(tmp_path, server)


@pytest.fixture
def dynsec(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "broker", DYNSEC) as server:
        yield Site(tmp_path, server)


def test_registered_device_is_let_in(site: Site) -> None:
    with site.telling():
        made = site.register("pump")
        assert site.opens(made, made.key)
        assert site.told()


def test_fifty_devices_registered_while_the_broker_is_away_are_let_in_when_it_comes(site: Site) -> None:
    site.server.stop()
    with site.telling():
        made = [site.register(f"d{number}") for number in range(50)]
        site.server.start()
        assert site.told()
        for each in made:
            assert site.opens(each, each.key)


@pytest.mark.parametrize("change", ["key revoked", "inactive", "removed"])
def test_device_that_may_not_be_there_any_more_is_cut_off_within_two_seconds(site: Site, change: str) -> None:
    with site.telling():
        made = site.register("pump")
        with connected(site, made, made.key) as peer:
            assert site.told()
            match change:
                case "key revoked":
                    site.services.credentials.remove("default", id_of(made.key))
                case "inactive":
                    site.become(made, DeviceStatus.INACTIVE)
                case "removed":
                    site.services.devices.remove(made.device.ref, now_ms=now_ms())
            assert is_cut_off(peer)
        assert not site.lets_in(made, made.key)


def test_inactive_device_comes_back_with_its_key(site: Site) -> None:
    with site.telling():
        made = site.register("pump")
        assert site.told()
        site.become(made, DeviceStatus.INACTIVE)
        assert site.told()
        assert not site.lets_in(made, made.key)
        site.become(made, DeviceStatus.ACTIVE)
        assert site.opens(made, made.key)


def test_newest_key_works_at_once_and_the_one_before_over_http_only(site: Site) -> None:
    """Also while both live by the records: a broker knows one password of a user."""
    with site.telling():
        made = site.register("pump")
        with connected(site, made, made.key) as peer:
            new = site.rotate(made, made.key, overlap_s=3600)
            assert is_cut_off(peer)
        assert site.opens(made, new)
        assert not site.lets_in(made, made.key)
        old = site.services.credentials.get(id_of(made.key))
        assert old is not None
        assert old.alive(now_ms()), "HTTP still takes it"


def test_revoking_the_newest_key_leaves_no_dead_key_at_the_broker(site: Site) -> None:
    """A password file gets the older key's hash back; dynamic security is told keys in clear only, once."""
    with site.telling():
        made = site.register("pump")
        newest = site.rotate(made, made.key, overlap_s=3600)
        assert site.opens(made, newest)
        site.services.credentials.remove("default", id_of(newest))
        assert site.told()
        assert not site.lets_in(made, newest)
        if site.server.choices["kind"] == PASSWORDS:
            assert site.opens(made, made.key)
        else:
            assert site.reconcile().stranded == (made.device.id,)
            again = site.rotate(made, made.key, overlap_s=0)
            assert site.opens(made, again)


def test_broker_that_dies_again_and_again_misses_nothing(site: Site) -> None:
    made = []
    with site.telling():
        for round_ in range(3):
            made += [site.register(f"{round_}-{number}") for number in range(15)]
            site.services.devices.remove(made[round_].device.ref, now_ms=now_ms())
            site.server.kill()
            site.start_again()
        assert site.told()
    assert all(site.opens(each, each.key) for each in made[3:])
    assert not any(site.lets_in(each, each.key) for each in made[:3])


def test_worker_that_stops_in_the_middle_is_followed_by_another(site: Site) -> None:
    made = [site.register(f"d{number}") for number in range(40)]
    site.services.broker_outbox.take(limit=10, hidden_s=1, now_ms=now_ms())  # one that was killed
    for _ in range(3):
        with site.telling():
            pass
    with site.telling():
        assert site.told()
    assert all(site.opens(each, each.key) for each in made)


def test_reconcile_finds_nothing_where_nothing_differs(site: Site) -> None:
    made = [site.register(f"d{number}") for number in range(5)]
    site.become(made[4], DeviceStatus.INACTIVE)
    with site.telling():
        assert site.told()
    found = site.reconcile()
    assert (found.compared, found.in_order) == (5, True)


def test_reconcile_leaves_to_the_outbox_what_waits_there(site: Site) -> None:
    made = site.register("pump")
    assert site.reconcile().in_order
    with site.telling():
        assert site.opens(made, made.key)


def test_reconcile_mends_what_was_done_by_hand(dynsec: Site, caplog: pytest.LogCaptureFixture) -> None:
    made = [dynsec.register(f"d{number}") for number in range(5)]
    dynsec.become(made[4], DeviceStatus.INACTIVE)
    with dynsec.telling():
        assert dynsec.told()
    control, ids = dynsec.server.control(), [str(each.device.id) for each in made]
    answers = control.ask(
        [
            {"command": "disableClient", "username": ids[0]},
            {"command": "modifyClient", "username": ids[1], "clientid": "", "roles": [{"rolename": "admin"}]},
            {"command": "createClient", "username": "4711", "password": "back door"},
            {"command": "createClient", "username": "dashboard", "password": "an operator's own"},
            {"command": "enableClient", "username": ids[4]},
            {"command": "deleteClient", "username": ids[2]},
        ]
    )
    assert not any("error" in answer for answer in answers)
    control.close()
    with caplog.at_level(logging.WARNING), dynsec.telling():
        assert eventually(lambda: "differed from the records" in caplog.text, DEADLINE_S)
    assert dynsec.lets_in(made[0], made[0].key)
    assert dynsec.lets_in(made[3], made[3].key)
    assert not is_let_in(dynsec.server, 4711, "back door")
    assert is_let_in(dynsec.server, "dashboard", "an operator's own")
    assert not dynsec.lets_in(made[4], made[4].key)
    assert not any(each.key in caplog.text for each in made)
    found = dynsec.reconcile()
    assert (found.changed, found.removed, found.stranded) == ((), (), (made[2].device.id,))


def test_reconcile_mends_a_password_file(tmp_path: Path) -> None:
    with running(tmp_path / "broker", PASSWORDS) as server:
        site = Site(tmp_path, server)
        made = [site.register(f"d{number}") for number in range(3)]
        with site.telling():
            assert site.told()
        file = server.home / "passwords"
        lines = file.read_text(encoding="ascii").splitlines()
        lines[1:3] = ["4711:" + lines[2].partition(":")[2], f"{made[1].device.id}:{lines[1].partition(':')[2]}"]
        file.write_text("\n".join([*lines, "dashboard:$7$101$c2FsdA==$x"]) + "\n", encoding="ascii")
        found = site.reconcile()
        assert set(found.changed) == {made[0].device.id, made[1].device.id}
        assert found.removed == (4711,)
        assert all(site.opens(each, each.key) for each in made)
        assert "dashboard:" in file.read_text(encoding="ascii")


def test_rebuild_brings_everything_back_from_the_records(dynsec: Site) -> None:
    """Also what no online comparison can, because the broker wants keys in clear: the records have their hashes."""
    made = [dynsec.register(f"d{number}") for number in range(3)]
    dynsec.become(made[1], DeviceStatus.INACTIVE)
    with dynsec.telling():
        assert dynsec.told()
    dynsec.server.kill()
    (dynsec.server.home / "dynsec.json").write_text('{"clients": [', encoding="ascii")
    with pytest.raises(Failure, match="mosquitto rebuild"):
        dynsec.server.start()
    pages = provisioning.accounts(dynsec.records, now_ms=now_ms())
    assert files.rebuild(dynsec.server.home, DYNSEC, [each for page in pages for each in page]) == 3
    dynsec.server.start()
    assert [dynsec.lets_in(each, each.key) for each in made] == [True, False, True]
    assert dynsec.reconcile().in_order
    with dynsec.telling():
        dynsec.become(made[1], DeviceStatus.ACTIVE)
        assert dynsec.opens(made[1], made[1].key)


@pytest.mark.slow
def test_thousand_devices_are_told(dynsec: Site) -> None:
    site = dynsec
    made = [site.register(f"d{number}") for number in range(1000)]
    with site.telling():
        assert eventually(lambda: site.services.broker_outbox.count() == 0, 120)
    broker = site.services.broker
    assert broker is not None
    assert broker.device_ids() == {each.device.id for each in made}
    broker.close()
    assert all(site.opens(each, each.key) for each in made[::100])
    assert site.reconcile().in_order
