"""Calls to IoTDB over a few connections: retried within a deadline, on the next node when one is silent.

Every call that goes through here may be repeated: writing, deleting and reading the same twice changes nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple, TypeVar

from chalicelib.adapters.iotdb_blocks import Block
from chalicelib.adapters.iotdb_connection import BROKEN, Access, Column, Connection, WrongPrecisionError
from chalicelib.adapters.iotdb_status import NO_PRIVILEGE, TOO_WIDE, Meaning, Refusal
from chalicelib.errors import Unavailable

T = TypeVar("T")

DEADLINE_S = 12.0
"""After so long a call ends with `Unavailable`; well within the 29 s of a request and the 30 s of a queue message."""
ATTEMPT_S = 5.0
"""A node that is silent for so long is given up, unless it is the last attempt's time that runs out first."""
ATTEMPTS = 4
MAX_IDLE = 8

_FIRST_PAUSE_S = 0.05
_LOG = logging.getLogger(__name__)


class Node(NamedTuple):
    """Where a DataNode listens."""

    host: str
    port: int


class Patience(NamedTuple):
    """How long and how often a call is tried."""

    deadline_s: float = DEADLINE_S
    attempt_s: float = ATTEMPT_S
    attempts: int = ATTEMPTS


class Rows(NamedTuple):
    """A whole answer."""

    columns: list[Column]
    blocks: list[Block]


class Client:
    """Any number of threads may call at once; each has a connection of its own while it does.

    Args:
        nodes: DataNodes of one cluster; the first that answers is used until it does not.
        access: The account.
        patience: Limits of a call.
    """

    def __init__(self, nodes: Sequence[Node], access: Access, patience: Patience | None = None) -> None:
        self._nodes = list(nodes)
        self._access = access
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._preferred = 0
        self._away = False
        self._lacks_rights = False

    def rows(self, statement: str) -> Rows:
        """Run a query and collect its answer."""

        def collect(connection: Connection, timeout_s: float) -> Rows:
            answer = connection.query(statement, timeout_s=timeout_s)
            return Rows(answer.columns, list(answer.blocks))

        return self.run(collect)

    def stream(self, statement: str, read: Callable[[list[Column], Iterator[Block]], T]) -> T:
        """Run a query and let *read* take it block by block; it is called anew for every attempt."""

        def take(connection: Connection, timeout_s: float) -> T:
            answer = connection.query(statement, timeout_s=timeout_s)
            with closing(answer.blocks):  # type: ignore[type-var]
                return read(answer.columns, answer.blocks)

        return self.run(take)

    def execute(self, statement: str) -> None:
        """Run a statement that has no result."""
        self.run(lambda connection, timeout_s: connection.execute(statement, timeout_s=timeout_s))

    def run(self, work: Callable[[Connection, float], T]) -> T:
        """Do *work* with a connection and the seconds that each of its calls may take.

        Raises:
            Refusal: The server's answer is no, and will be no again.
            Unavailable: No node answered in time, or none lets us in.
        """
        end_s = time.monotonic() + self._patience.deadline_s
        for attempt in range(self._patience.attempts):
            left_s = end_s - time.monotonic()
            if attempt and not _pause(attempt, left_s):
                break
            try:
                with self._borrowed() as connection:
                    result = work(connection, max(0.1, min(left_s, self._patience.attempt_s)))
            except Refusal as refused:
                self._judge(refused)
                reason: Exception = refused
            except BROKEN as error:
                self._abandon_node()
                reason = error
            except WrongPrecisionError as error:
                raise Unavailable(str(error)) from error
            else:
                self._back()
                return result
            self._gone(reason)
        message = "IoTDB does not answer"
        raise Unavailable(message)

    def lets_in(self, access: Access) -> bool:
        """Whether the node in use takes another account; tried once, and the connection is closed."""
        way = self._access._replace(user=access.user, password=access.password)
        try:
            Connection(*self._nodes[self._preferred], way).close()
        except (Refusal, WrongPrecisionError, *BROKEN):
            return False
        return True

    def close(self) -> None:
        """Close idle connections; the next call opens one again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connected()
        try:
            yield connection
        finally:
            with self._lock:
                keep = connection.is_open and len(self._idle) < MAX_IDLE
                if keep:
                    self._idle.append(connection)
            if not keep and connection.is_open:
                connection.close()

    def _connected(self) -> Connection:
        """A new connection to the first node that has one for us."""
        count = len(self._nodes)
        for offset in range(count):
            place = (self._preferred + offset) % count
            with suppress(*(BROKEN if offset < count - 1 else ())):
                connection = Connection(*self._nodes[place], self._access)
                self._preferred = place
                return connection
        message = "no node is reachable"
        raise ConnectionError(message)

    def _abandon_node(self) -> None:
        """After a transport error the node's other connections are as good as dead, and the next node is next."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._preferred = (self._preferred + 1) % len(self._nodes)
        for connection in idle:
            connection.drop()

    def _judge(self, refused: Refusal) -> None:
        """Go on only if trying again can help."""
        if refused.meaning is Meaning.CONFIGURATION:
            if refused.code != NO_PRIVILEGE:
                self._gone(refused)
            elif not self._lacks_rights:
                self._lacks_rights = True
                _LOG.error("IoTDB refuses the account %s: %s", self._access.user, refused)
            message = "IoTDB refuses the account that IoTFlow logs in with"
            raise Unavailable(message) from refused
        if refused.meaning is not Meaning.RETRY or refused.code == TOO_WIDE:
            self._back()
            raise refused

    def _gone(self, reason: Exception) -> None:
        if not self._away:
            self._away = True
            _LOG.warning("IoTDB does not answer: %s: %s", type(reason).__name__, reason)

    def _back(self) -> None:
        if self._away:
            self._away = False
            _LOG.warning("IoTDB answers again")


def _pause(attempt: int, left_s: float) -> bool:
    """Wait a random part of a growing span; False when the time is up."""
    pause_s = random.uniform(0, _FIRST_PAUSE_S * 4**attempt)  # noqa: S311 - spreads load, hides nothing
    if pause_s >= left_s:
        return False
    time.sleep(pause_s)
    return True


def nodes_of(hosts: str, port: int) -> list[Node]:
    """The nodes of a comma-separated list of HOST or HOST:PORT; *port* is for those without."""
    nodes = []
    for word in hosts.split(","):
        host, _, own_port = word.strip().partition(":")
        nodes.append(Node(host, int(own_port or port)))
    return nodes
