"""MQTT over WebSocket: the frames' content is the stream of bytes that TCP carries otherwise.

Source: MQTT Version 5.0, OASIS Standard, section 6: binary frames, subprotocol ``mqtt``, packets may span frames.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from websockets.exceptions import NegotiationError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("mqtt")
MAX_MESSAGE_BYTES = 2_097_152


class WebSocketTransport(asyncio.Protocol):
    """Speaks WebSocket to the network, and plain bytes to the protocol inside.

    Args:
        inside: Makes that protocol; called when the opening handshake has succeeded.
        opening_s: How long that may take.
    """

    def __init__(self, inside: Callable[[], asyncio.Protocol], opening_s: float) -> None:
        self._opening_s = opening_s
        self._make = inside
        self._inside: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._frames = ServerProtocol(select_subprotocol=_subprotocol, max_size=MAX_MESSAGE_BYTES)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._timer = asyncio.get_running_loop().call_later(self._opening_s, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame):
                self._on_frame(event)
        self._write()
        if self._frames.close_expected() and self._transport is not None:
            self._transport.close()

    def eof_received(self) -> bool | None:
        """See `asyncio.Protocol`."""
        self._frames.receive_eof()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._inside is not None:
            self._inside.connection_lost(exc)

    def send(self, data: bytes) -> None:
        """Send what the protocol inside wrote."""
        if self._frames.state is State.OPEN:
            self._frames.send_binary(data)
            self._write()

    def finish(self) -> None:
        """The protocol inside is done: say so, and close."""
        if self._frames.state is State.OPEN:
            self._frames.send_close(1000)
            self._write()
        if self._transport is not None:
            self._transport.close()

    def _open(self, request: Request) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._frames.send_response(self._frames.accept(request))
        if self._frames.state is State.OPEN and self._transport is not None:
            self._inside = self._make()
            self._inside.connection_made(_Inner(self, self._transport))

    def _on_frame(self, frame: Frame) -> None:
        if self._inside is None:
            return
        if frame.opcode is Opcode.TEXT:
            self._frames.fail(1003, "MQTT is carried in binary frames")
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT):
            self._inside.data_received(bytes(frame.data))

    def _write(self) -> None:
        if self._transport is None:
            return
        for part in self._frames.data_to_send():
            if part:
                self._transport.write(part)
            elif self._transport.can_write_eof():
                self._transport.write_eof()


class _Inner(asyncio.Transport):
    """The transport as the protocol inside sees it."""

    def __init__(self, outside: WebSocketTransport, transport: asyncio.Transport) -> None:
        super().__init__()
        self._outside = outside
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._outside.send(bytes(data))

    def close(self) -> None:
        self._outside.finish()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


def _subprotocol(_connection: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol:
    """Only ``mqtt`` is spoken here.

    Raises:
        NegotiationError: It was not offered.
    """
    if SUBPROTOCOL not in offered:
        message = "the subprotocol mqtt is needed"
        raise NegotiationError(message)
    return SUBPROTOCOL
