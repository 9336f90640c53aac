"""A fake IoTDB over the real wire protocol, made of the stubs' server side: slow, wrong and absent on demand."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from struct import pack
from typing import Any

from iotdb.thrift.common.ttypes import TSStatus
from iotdb.thrift.rpc.IClientRPCService import Iface, Processor
from iotdb.thrift.rpc.ttypes import TSExecuteStatementResp, TSOpenSessionResp
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport, TTransportException

from chalicelib.adapters.iotdb_client import Node

SUCCESS = 200


class FakeIotdb(Iface):  # type: ignore[misc]
    """Answers each query with its own text, so that a swapped answer shows.

    Attributes:
        delays_s: Taken from the front: how long the next calls take.
        refusals: Taken from the front: what the next writes are answered, as code and text.
        written: Times of all rows that were taken.
        sessions: How many were opened.
        precision: What it says that it counts time in.
    """

    def __init__(self) -> None:
        self.delays_s: list[float] = []
        self.refusals: list[tuple[int, str]] = []
        self.written: list[int] = []
        self.sessions = 0
        self.precision = "ms"
        self.node = Node("127.0.0.1", 0)

    def openSession(self, req: Any) -> TSOpenSessionResp:  # noqa: N802 - the protocol's name
        """Let anybody in."""
        self.sessions += 1
        configuration = {"timestamp_precision": self.precision}
        return TSOpenSessionResp(
            status=_status(),
            serverProtocolVersion=req.client_protocol,
            sessionId=self.sessions,
            configuration=configuration,
        )

    def requestStatementId(self, sessionId: int) -> int:  # noqa: N802, N803, ARG002 - the protocol's names
        """Any number will do."""
        return 7

    def closeSession(self, req: Any) -> TSStatus:  # noqa: N802, ARG002
        """Goodbye."""
        return _status()

    def closeOperation(self, req: Any) -> TSStatus:  # noqa: N802, ARG002
        """Nothing is kept."""
        return _status()

    def insertRecords(self, req: Any) -> TSStatus:  # noqa: N802
        """Take rows, unless a refusal is due."""
        self._wait()
        if self.refusals:
            code, message = self.refusals.pop(0)
            return TSStatus(code=code, message=message)
        self.written += req.timestamps
        return _status()

    def executeUpdateStatementV2(self, req: Any) -> TSExecuteStatementResp:  # noqa: N802, ARG002
        """Done."""
        return TSExecuteStatementResp(status=_status())

    def executeQueryStatementV2(self, req: Any) -> TSExecuteStatementResp:  # noqa: N802
        """One row with the question; nothing for a question about series."""
        self._wait()
        rows = [] if req.statement.startswith("SHOW") else [text_block(req.statement)]
        return TSExecuteStatementResp(
            status=_status(), queryId=1, columns=["Question"], dataTypeList=["TEXT"], queryResult=rows, moreData=False
        )

    def _wait(self) -> None:
        if self.delays_s:
            time.sleep(self.delays_s.pop(0))


@contextmanager
def serving() -> Iterator[FakeIotdb]:
    """A fake that listens on a free port within the block; afterwards every connection is cut."""
    fake = FakeIotdb()
    processor = Processor(fake)
    connections: list[socket.socket] = []

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.request)
            transport = TSocket()
            transport.setHandle(self.request)
            protocol = TBinaryProtocolAccelerated(TFramedTransport(transport))
            with suppress(TTransportException, OSError):
                while True:
                    processor.process(protocol, protocol)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", 0), Handler)
    fake.node = Node("127.0.0.1", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def text_block(text: str) -> bytes:
    """A TsBlock of one row with one text."""
    raw = text.encode()
    head = pack(">iBiBB", 1, 5, 1, 2, 3)
    return head + b"\0" + pack(">q", 0) + b"\0" + pack(">i", len(raw)) + raw


def _status() -> TSStatus:
    return TSStatus(code=SUCCESS, message="")
