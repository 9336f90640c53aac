"""What every `BrokerProvisioner` promises, against a real Mosquitto."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.dynsec import DynsecProvisioner
from chalicelib.adapters.dynsec_control import Control
from chalicelib.adapters.password_file import PasswordFile
from chalicelib.errors import Unavailable
from chalicelib.keys import broker_hash
from chalicelib.ports import BrokerAccount, BrokerProvisioner, Provisioned
from infra.commands import certs
from infra.mosquitto.layout import PASSWORD_FILE
from infra.mosquitto.server import Server
from tests.contract.eventually import eventually
from tests.contract.mosquitto_broker import KINDS, bridge_port, device_port, is_let_in, provisioner_of, running
from tests.e2e.mqtt_peer import Peer

KICK_S = 2.0


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("mosquitto") / "broker", request.param) as started:
        yield started


@pytest.fixture
def broker(server: Server) -> Iterator[BrokerProvisioner]:
    made = provisioner_of(server)
    yield made
    made.remove(sorted(made.device_ids()))
    made.close()


def account(device_id: int, key: str = "first", *, enabled: bool = True, known: bool = True) -> BrokerAccount:
    """A device's account with a key of this text; *known*: it may be told in clear."""
    return BrokerAccount(device_id, enabled, f"id of {key}", HASHES.setdefault(key, broker_hash(key)), key * known)


HASHES: dict[str, str] = {}


def opens(server: Server, user: int, password: str) -> bool:
    """Whether a device is let in before a deadline: a reload takes the broker a moment."""
    return eventually(lambda: is_let_in(server, user, password), 5)


def is_cut_off(peer: Peer) -> bool:
    """Whether a connected device's connection ends before the deadline that operators were promised."""
    packet = peer.receive(KICK_S)
    return packet is None or packet.kind == 14


def test_device_is_let_in_with_its_key_only(server: Server, broker: BrokerProvisioner) -> None:
    assert broker.put([account(1), account(2, "other")]) == Provisioned((1, 2))
    assert opens(server, 1, "first")
    assert not is_let_in(server, 1, "other")
    assert not is_let_in(server, 3, "first")
    assert broker.device_ids() == {1, 2}


def test_putting_again_changes_nothing_and_cuts_nobody_off(server: Server, broker: BrokerProvisioner) -> None:
    broker.put([account(1)])
    assert opens(server, 1, "first")
    with Peer(device_port(server)) as peer:
        peer.connect("1", "first")
        for known in (True, False):
            assert broker.put([account(1, known=known)]) == Provisioned()
        assert peer.is_silent(0.3)


def test_newest_key_replaces_the_one_before_and_cuts_off_who_used_it(server: Server, broker: BrokerProvisioner) -> None:
    broker.put([account(1), account(2)])
    assert opens(server, 1, "first")
    with Peer(device_port(server)) as peer, Peer(device_port(server)) as other:
        peer.connect("1", "first")
        other.connect("2", "first")
        assert broker.put([account(1, "second")]) == Provisioned((1,))
        assert is_cut_off(peer)
        assert other.is_silent(0.1)
    assert is_let_in(server, 1, "second")
    assert not is_let_in(server, 1, "first")


def test_disabled_device_is_cut_off_and_let_in_again_with_the_same_key(
    server: Server, broker: BrokerProvisioner
) -> None:
    broker.put([account(1)])
    assert opens(server, 1, "first")
    with Peer(device_port(server)) as peer:
        peer.connect("1", "first")
        assert broker.put([account(1, enabled=False, known=False)]) == Provisioned((1,))
        assert is_cut_off(peer)
    assert not is_let_in(server, 1, "first")
    assert broker.put([account(1, known=False)]) == Provisioned((1,))
    assert opens(server, 1, "first")


def test_device_that_begins_disabled_is_let_in_later(server: Server, broker: BrokerProvisioner) -> None:
    broker.put([account(1, enabled=False)])
    assert not is_let_in(server, 1, "first")
    broker.put([account(1, known=False)])
    assert opens(server, 1, "first")


def test_removed_device_is_cut_off_and_forgotten(server: Server, broker: BrokerProvisioner) -> None:
    broker.put([account(1), account(2)])
    assert opens(server, 1, "first")
    with Peer(device_port(server)) as peer:
        peer.connect("1", "first")
        broker.remove([1, 77])
        assert is_cut_off(peer)
    assert not is_let_in(server, 1, "first")
    assert broker.device_ids() == {2}
    broker.remove([1])


def test_device_without_a_live_key_is_shut_out(server: Server, broker: BrokerProvisioner) -> None:
    broker.put([account(1)])
    assert opens(server, 1, "first")
    with Peer(device_port(server)) as peer:
        peer.connect("1", "first")
        broker.put([BrokerAccount(1, enabled=False, key_id="", key_hash="")])
        assert is_cut_off(peer)
    assert not is_let_in(server, 1, "first")


def test_bridge_is_never_touched(server: Server, broker: BrokerProvisioner) -> None:
    with Peer(bridge_port(server)) as bridge:
        assert bridge.connect("bridge", server.accounts().bridge).reason == 0
        broker.put([account(n) for n in range(1, 30)])
        broker.put([account(n, "second", enabled=n % 2 == 0) for n in range(1, 30)])
        broker.remove(range(1, 30))
        assert bridge.is_silent(0.5)
        assert broker.device_ids() == set()


def test_no_secret_is_in_what_is_printed() -> None:
    assert "first" not in repr(account(1)).replace("id of first", "")


@pytest.fixture(scope="module")
def dynsec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("mosquitto") / "broker") as started:
        yield started


def test_dynsec_shuts_out_a_key_that_it_cannot_be_told(dynsec: Server) -> None:
    """The old key must not go on when the newest cannot be told: it may be the one that was revoked."""
    broker = provisioner_of(dynsec)
    assert broker.put([account(1, known=False)]) == Provisioned((), (1,))
    broker.put([account(1)])
    assert broker.put([account(1, "second", known=False)]) == Provisioned((1,), (1,))
    assert not is_let_in(dynsec, 1, "first")
    assert broker.put([account(1, "second")]) == Provisioned((1,))
    assert is_let_in(dynsec, 1, "second")
    broker.close()


def test_dynsec_mends_client_id_and_role(dynsec: Server) -> None:
    broker, control = provisioner_of(dynsec), dynsec.control()
    broker.put([account(5)])
    control.ask([{"command": "modifyClient", "username": "5", "clientid": "evil", "roles": [{"rolename": "admin"}]}])
    assert broker.put([account(5, known=False)]) == Provisioned((5,))
    (answer,) = control.ask([{"command": "getClient", "username": "5"}])
    client = answer["data"]["client"]
    assert (client["clientid"], client["roles"]) == ("5", [{"rolename": "device"}])
    control.close()
    broker.close()


def test_dynsec_tells_its_answers_from_those_to_another_administrator(dynsec: Server) -> None:
    first, second = dynsec.control(), dynsec.control()
    for _ in range(20):
        assert first.ask([{"command": "getRole", "rolename": "device"}])[0]["command"] == "getRole"
        assert second.ask([{"command": "listClients"}])[0]["command"] == "listClients"
    first.close()
    second.close()


def test_dynsec_lists_more_than_a_page(dynsec: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.adapters.dynsec.PAGE", 7)
    broker = provisioner_of(dynsec)
    broker.put([account(n) for n in range(100, 120)])
    assert broker.device_ids() >= set(range(100, 120))
    broker.close()


def test_dynsec_away_is_unavailable_and_back_is_fine(dynsec: Server) -> None:
    broker = provisioner_of(dynsec)
    broker.check()
    for stop in (dynsec.stop, dynsec.kill):
        stop()
        for _ in range(2):
            with pytest.raises(Unavailable):
                broker.check()
        dynsec.start()
        broker.check()
    broker.close()


def test_dynsec_refusing_the_account_is_unavailable_without_its_password(dynsec: Server) -> None:
    broker = DynsecProvisioner(Control(dynsec.url, ("admin", "a wrong secret")))
    with pytest.raises(Unavailable) as refused:
        broker.check()
    assert "IOTFLOW_BROKER_ADMIN_USER" in refused.value.message
    assert "wrong secret" not in refused.value.message


def test_dynsec_refuses_the_bridge(dynsec: Server) -> None:
    """The account that carries telemetry can change no accounts."""
    with Peer(bridge_port(dynsec)) as bridge:
        bridge.connect("bridge", dynsec.accounts().bridge)
        assert bridge.subscribe("$CONTROL/dynamic-security/v1/response")[0] >= 0x80
        answer = bridge.publish("$CONTROL/dynamic-security/v1", b'{"commands": [{"command": "listClients"}]}')
        assert answer is not None
        assert answer.reason == 0x87


def test_password_file_written_while_the_broker_is_away_counts_when_it_comes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running(tmp_path_factory.mktemp("mosquitto") / "broker", "passwords") as server:
        file = PasswordFile(server.home / PASSWORD_FILE)
        server.stop()
        file.put([account(1)])
        server.start()
        assert is_let_in(server, 1, "first")
        assert (server.home / PASSWORD_FILE).stat().st_mode & 0o777 == 0o600


def test_password_file_is_reloaded_by_the_operators_command_also_after_a_failure(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("passwords")
    mark = folder / "reloaded"
    file = PasswordFile(folder / "passwords", reload_command=f"touch {mark / 'x'}")
    with pytest.raises(Unavailable, match="IOTFLOW_BROKER_RELOAD"):
        file.put([account(1)])
    mark.mkdir()
    assert file.put([account(1)]) == Provisioned(), "it is written already, and only to be told"
    assert (mark / "x").exists()
    (mark / "x").unlink()
    assert file.put([account(1)]) == Provisioned()
    assert not (mark / "x").exists(), "nothing new, nothing told"


def test_password_file_that_cannot_be_written_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("passwords")
    with pytest.raises(Unavailable):
        PasswordFile(folder / "absent" / "passwords").put([account(1)])


def test_password_file_never_signals_a_broker_that_is_starting(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before it handles the signal, SIGHUP would end it."""
    folder = tmp_path_factory.mktemp("passwords")
    program = folder / "mosquitto"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as starting:
        (folder / "mosquitto.pid").write_text(str(starting.pid), encoding="ascii")
        assert eventually(lambda: Path(f"/proc/{starting.pid}/comm").read_text(encoding="utf-8") == "mosquitto\n")
        with pytest.raises(Unavailable, match="starting"):
            PasswordFile(folder / "passwords").put([account(1)])
        assert starting.poll() is None
        starting.kill()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves its socket unclosed
def test_dynsec_over_tls_trusts_the_given_authority_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tls")
    certs.make(folder / "certs", [])
    with running(folder / "broker", certificates=folder / "certs") as server:
        url = f"mqtts://localhost:{server.choices['tls_port']}"
        account_ = ("admin", server.accounts().admin)
        broker = DynsecProvisioner(Control(url, account_, ca_file=str(folder / "certs" / "ca.crt")))
        assert broker.put([account(1)]) == Provisioned((1,))
        broker.close()
        with pytest.raises(Unavailable):
            DynsecProvisioner(Control(url, account_)).check()
