"""What one client may take from the others: connections, headers, patience."""

import socket

import pytest

from infra.local.protocol import ConnectionLimits
from tests.api.running_front import Small, running
from tests.contract.eventually import eventually

TICK_S = 1.0
"""The server looks at its connections once a second, so silence of a tenth is noticed within one."""


def test_front_cuts_a_client_that_owes_bytes_and_is_silent() -> None:
    """In the middle of its header, of its body, or before the first byte; others are not touched."""
    begun = (b"", b"GET /items/1 HTTP/1.1\r\nHos", b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    with running(Small(), limits=ConnectionLimits(silence_s=0.1)) as front:
        for bytes_sent in begun:
            with front.wire() as wire:
                wire.send(bytes_sent)
                assert wire.ended()
        assert front.get("/items/1").status == 200


def test_front_cuts_a_client_that_trickles() -> None:
    """Always lively, never done: the whole request has a limit too."""
    with running(Small(), limits=ConnectionLimits(request_s=0.3)) as front, front.wire() as wire:
        wire.send(b"GET /items/1 HTTP/1.1\r\nX: ")

        def is_cut() -> bool:
            try:
                wire.send(b"x")
            except (BrokenPipeError, ConnectionResetError):
                return True
            return False

        assert eventually(is_cut)
        assert front.get("/items/1").status == 200


def test_front_keeps_an_idle_connection_that_was_answered() -> None:
    """Silence after an answer is keep-alive, not a debt."""
    with running(Small(), limits=ConnectionLimits(silence_s=0.1)) as front, front.wire() as wire:
        assert wire.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        wire.socket.settimeout(2 * TICK_S)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        wire.socket.settimeout(10)
        wire.send(b"GET /items/2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in wire.socket.recv(4096)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""])
def test_front_refuses_headers_over_the_limit(end: bytes) -> None:
    """431, complete or growing without end; at the limit they are taken."""
    with running(Small(), limits=ConnectionLimits(header_bytes=2000)) as front:
        with front.wire() as wire:
            wire.send(b"GET /items/1 HTTP/1.1\r\nX: " + b"x" * 3000 + end)
            reply = wire.reply()
            assert (reply.status, reply.json["limit"]) == (431, "2000 bytes")
            assert wire.ended()
        rest = 2000 - len("/items/1") - len("hostx") - len("x")
        assert front.get("/items/1", "X: " + "x" * rest).status == 200


def test_front_refuses_connections_over_the_limit() -> None:
    """503 with Retry-After at once; when one ends, the next is served."""
    limits = ConnectionLimits(connections=2)
    with running(Small(), limits=limits) as front, front.wire() as first, front.wire() as second:
        for wire in (first, second):
            assert wire.request("GET /items/1 HTTP/1.1\nHost: x").status == 200
        with front.wire() as third:
            reply = third.reply()
            assert (reply.status, reply.headers["retry-after"], reply.json["code"]) == (503, "1", "unavailable")
            assert third.ended()
        assert first.request("GET /items/1 HTTP/1.1\nHost: x\nConnection: close").status == 200
        assert first.ended()
        assert front.get("/items/1").status == 200


def test_front_survives_a_client_that_resets() -> None:
    """SO_LINGER 0 sends a reset in the middle of a request."""
    with running(Small()) as front:
        with front.wire() as wire:
            wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        assert front.get("/items/1").status == 200
