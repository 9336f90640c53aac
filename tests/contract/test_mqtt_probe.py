"""Whether an MQTT server is there and awake: asked of real listeners on loopback."""

import socket

import pytest

from chalicelib.adapters.mqtt_probe import MqttProbe
from chalicelib.errors import Unavailable
from tests.listener import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 - where it listens, not asked
def test_a_server_is_reachable_until_it_is_gone(host: str) -> None:
    with listening() as port:
        MqttProbe(host, port).check()
    with pytest.raises(Unavailable) as silent:
        MqttProbe(host, port).check()
    assert str(port) in silent.value.message


def test_a_socket_that_nobody_serves_is_not_reachable() -> None:
    """The supervisor holds the listening socket while the server behind it is dead or hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable) as silent:
            MqttProbe("127.0.0.1", port).check()
    assert str(port) in silent.value.message


def test_a_server_on_an_unknown_port_is_not_reachable() -> None:
    with pytest.raises(Unavailable):
        MqttProbe("127.0.0.1", 0).check()


def test_a_server_of_something_else_is_not_taken_for_one_of_mqtt() -> None:
    with listening(answer=b"") as port, pytest.raises(Unavailable) as silent:
        MqttProbe("127.0.0.1", port).check()
    assert "MQTT" in silent.value.message
