"""Whether a server is there: asked of a real listener on loopback."""

import socket

import pytest

from chalicelib.adapters.tcp_probe import TcpProbe
from chalicelib.errors import Unavailable


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 - where it listens, not where it is asked
def test_a_listener_is_reachable_and_a_closed_one_is_not(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        TcpProbe(host, port).check()
    with pytest.raises(Unavailable) as silent:
        TcpProbe(host, port).check()
    assert str(port) in silent.value.message


def test_a_server_on_an_unknown_port_is_not_reachable() -> None:
    with pytest.raises(Unavailable):
        TcpProbe("127.0.0.1", 0).check()
