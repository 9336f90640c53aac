"""One connection to an IoTDB node, on the Thrift stubs that apache-iotdb ships. One thread at a time.

After any transport error the connection is closed for good: what is still under way on it can never be taken for the
answer to another call. (The package's own Session goes on and hands the old answer to the next question.)
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from iotdb.thrift.rpc.IClientRPCService import Client as Stub
from iotdb.thrift.rpc.ttypes import (
    TSCloseOperationReq,
    TSCloseSessionReq,
    TSExecuteStatementReq,
    TSFastLastDataQueryForOneDeviceReq,
    TSFetchResultsReq,
    TSOpenSessionReq,
    TSProtocolVersion,
)
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport, TTransportException

from chalicelib.adapters.iotdb_blocks import Block, decode
from chalicelib.adapters.iotdb_frames import Rows, insert_records
from chalicelib.adapters.iotdb_status import refusal

CONNECT_TIMEOUT_S = 2.0
FETCH_ROWS = 10_000
PRECISION = "ms"

BROKEN = (TTransportException, TProtocolException, TApplicationException, OSError, EOFError)
"""What a call raises when nobody knows what became of it."""

logging.getLogger("thrift").setLevel(logging.CRITICAL)  # it logs each refused connection; the client says it once


class Access(NamedTuple):
    """How to log in. `ca_file` is a PEM file of the authorities to trust; with `tls` and without it, the system's."""

    user: str
    password: str
    tls: bool = False
    ca_file: str | None = None


class Column(NamedTuple):
    """A column of an answer: its name, the server's word for its type, its place in the blocks."""

    name: str
    type_name: str
    place: int


class Answer(NamedTuple):
    """What a query found: read `blocks` to its end, or close it, before the next call."""

    columns: list[Column]
    blocks: Iterator[Block]


class WrongPrecisionError(Exception):
    """The server counts time in something else than milliseconds."""


class Connection:
    """A session with one node, open when the constructor returns.

    Raises:
        BROKEN: The node cannot be reached.
        Refusal: It does not let us in.
        WrongPrecisionError: Its times are not in ms.
    """

    def __init__(self, host: str, port: int, access: Access) -> None:
        self.is_open = True
        self._socket = _socket(host, port, access)
        self._socket.setTimeout(CONNECT_TIMEOUT_S * 1000)
        self._transport = TFramedTransport(self._socket)
        self._stub = Stub(TBinaryProtocolAccelerated(self._transport))
        self._session = self._statement = 0
        try:
            self._transport.open()
            self._log_in(access)
        except BaseException:
            self.drop()
            raise

    def _log_in(self, access: Access) -> None:
        opened = self._stub.openSession(
            TSOpenSessionReq(
                client_protocol=TSProtocolVersion.IOTDB_SERVICE_PROTOCOL_V3,
                zoneId="UTC",
                username=access.user,
                password=access.password,
                configuration={"version": "V_1_0", "sql_dialect": "tree"},
            )
        )
        _must_be_good(opened.status)
        precision = (opened.configuration or {}).get("timestamp_precision", PRECISION)
        if precision != PRECISION:
            message = f"IoTDB counts time in {precision}; set timestamp_precision=ms, which needs a new data folder"
            raise WrongPrecisionError(message)
        self._session = opened.sessionId
        self._statement = self._stub.requestStatementId(self._session)

    def insert(self, rows: Rows, *, timeout_s: float) -> None:
        """Write rows of aligned devices; durable when it returns."""
        self.send(self.frame(rows), timeout_s=timeout_s)

    def frame(self, rows: Rows) -> bytes:
        """What `insert` sends on this connection."""
        return insert_records(rows, session=self._session, sequence=0)

    def send(self, frame: bytes, *, timeout_s: float) -> None:
        """Send what `frame` made, and wait until it is durable."""

        def send_and_wait() -> Any:
            self._socket.write(frame)
            return self._stub.recv_insertRecords()

        _must_be_good(self._call(send_and_wait, timeout_s))

    def settings(self, node: int, *, timeout_s: float) -> str:
        """The file of settings of a ConfigNode or DataNode; only an administrator may, of a node that there is."""
        response = self._call(lambda: self._stub.showConfiguration(node), timeout_s)
        _must_be_good(response.status)
        content: str = response.content
        return content

    def execute(self, statement: str, *, timeout_s: float) -> None:
        """Run a statement that has no result."""
        request = TSExecuteStatementReq(
            sessionId=self._session,
            statement=statement,
            statementId=self._statement,
            timeout=round(timeout_s * 1000),
        )
        _must_be_good(self._call(lambda: self._stub.executeUpdateStatementV2(request), timeout_s).status)

    def query(self, statement: str, *, timeout_s: float) -> Answer:
        """Run a query; the server gives up after *timeout_s* too."""
        request = TSExecuteStatementReq(
            sessionId=self._session,
            statement=statement,
            statementId=self._statement,
            fetchSize=FETCH_ROWS,
            timeout=round(timeout_s * 1000),
            enableRedirectQuery=False,
        )
        response = self._call(lambda: self._stub.executeQueryStatementV2(request), timeout_s)
        _must_be_good(response.status)
        return Answer(_columns(response), self._blocks(response, statement, timeout_s))

    def newest(self, database: str, device: str, nodes: Sequence[str], *, timeout_s: float) -> Answer:
        """The newest value of each of the device's series *nodes*, as ``SELECT LAST`` shows them, without the SQL.

        A third of the time: nothing is parsed or planned.
        """
        request = TSFastLastDataQueryForOneDeviceReq(
            sessionId=self._session,
            db=database,
            deviceId=device,
            sensors=nodes,
            fetchSize=FETCH_ROWS,
            statementId=self._statement,
            enableRedirectQuery=False,
            jdbcQuery=False,
            timeout=round(timeout_s * 1000),
            legalPathNodes=True,
        )
        response = self._call(lambda: self._stub.executeFastLastDataQueryForOneDeviceV2(request), timeout_s)
        _must_be_good(response.status)
        return Answer(_columns(response), self._blocks(response, "", timeout_s))

    def _blocks(self, response: Any, statement: str, timeout_s: float) -> Iterator[Block]:
        """The answer, block by block; tells the server when the rest is not wanted."""
        query = response.queryId
        try:
            while True:
                for block in response.queryResult or ():
                    yield decode(block)
                if not response.moreData:
                    return
                request = TSFetchResultsReq(
                    sessionId=self._session,
                    statement=statement,
                    fetchSize=FETCH_ROWS,
                    queryId=query,
                    isAlign=True,
                    timeout=round(timeout_s * 1000),
                    statementId=self._statement,
                )
                response = self._call(lambda: self._stub.fetchResultsV2(request), timeout_s)  # noqa: B023 - called at once
                _must_be_good(response.status)
        finally:
            if query is not None and self.is_open:
                request = TSCloseOperationReq(sessionId=self._session, queryId=query, statementId=self._statement)
                self._call(lambda: self._stub.closeOperation(request), timeout_s)

    def _call(self, call: Callable[[], Any], timeout_s: float) -> Any:
        """Call within *timeout_s*; whatever goes wrong on the way ends the connection."""
        self._socket.setTimeout(timeout_s * 1000)
        try:
            return call()
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Close without a word; the server notices."""
        self.is_open = False
        self._transport.close()

    def close(self) -> None:
        """Say goodbye and close."""
        with suppress(*BROKEN):
            self._socket.setTimeout(CONNECT_TIMEOUT_S * 1000)
            self._stub.closeSession(TSCloseSessionReq(sessionId=self._session))
        self.drop()


def _socket(host: str, port: int, access: Access) -> TSocket:
    if not access.tls:
        return TSocket(host, port)
    import ssl  # both take as long as everything else here together

    from thrift.transport.TSSLSocket import TSSLSocket

    context = ssl.create_default_context(cafile=access.ca_file)
    return TSSLSocket(host, port, ssl_context=context, server_hostname=host)


def _columns(response: Any) -> list[Column]:
    places = response.columnIndex2TsBlockColumnIndexList or range(len(response.columns))
    return [Column(*found) for found in zip(response.columns, response.dataTypeList, places, strict=True)]


def _must_be_good(status: Any) -> None:
    """Raises `Refusal` for anything but success."""
    refused = refusal(status)
    if refused is not None:
        raise refused
