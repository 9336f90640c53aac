"""One way to talk to Redis: short time-outs, no retries, and a pause after a failure instead of a wait per call."""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from chalicelib.errors import Unavailable

TIMEOUT_S = 0.2
"""For connecting and for each answer; a round trip on the same host takes 0.1 to 0.2 ms."""
PAUSE_S = 3.0
"""How long Redis is left alone after it failed."""
MAX_CONNECTIONS = 1024
"""More than threads; a pool that runs dry would look like a Redis that is away."""

_DEFAULT_PORT = 6379
_OPTIONS = {"db", "ssl_ca_certs", "ssl_cert_reqs"}
_CONNECTIONS: dict[str, type[AbstractConnection]] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}

_log = logging.getLogger(__name__)


class Script:
    """A Lua script; runs atomically on the server."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisConnection:
    """A thread-safe pool of connections to one Redis that is never waited for long.

    After a failure every call is refused at once for `pause_s`; then one caller tries again while the others are
    still refused. Going away and coming back are logged once each. The look-up of a host name is the system's, and
    its time is not bounded here.

    Args:
        url: ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]``, the same with ``rediss`` for TLS (options
            ``ssl_ca_certs``, ``ssl_cert_reqs``), or ``unix:///PATH[?db=DB]``.
        purpose: What it is used for, to begin a log line.
        pause_s: How long Redis is left alone after it failed.

    Raises:
        ValueError: The URL is wrong; the message does not repeat it.
    """

    def __init__(self, url: str, *, purpose: str, pause_s: float = PAUSE_S) -> None:
        scheme, options = parse_url(url)
        self._purpose = purpose
        self._pause_s = pause_s
        self._pool = ConnectionPool(
            connection_class=_CONNECTIONS[scheme],
            max_connections=MAX_CONNECTIONS,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            **options,
        )
        self._client = Redis(connection_pool=self._pool)
        self._lock = threading.Lock()
        self._away_until_s: float | None = None

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int | float]) -> Any:
        """Run *script*; the answer is bytes, int, None or a list of such.

        Raises:
            Unavailable: Redis does not answer, refuses, or failed less than the pause ago.
        """
        self._admit()
        return self._call(lambda: self._evaluate(script, keys, arguments))

    def check(self) -> None:
        """Make a round trip, also within the pause, and end the pause when it succeeds.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._call(self._client.ping)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._pool.disconnect()

    def _evaluate(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int | float]) -> Any:
        try:
            return self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self._client.execute_command("EVAL", script.source, len(keys), *keys, *arguments)

    def _admit(self) -> None:
        if self._away_until_s is None:
            return
        with self._lock:
            now_s = time.monotonic()
            if self._away_until_s is None:
                return
            if now_s < self._away_until_s:
                message = f"{self._purpose}: Redis is away"
                raise Unavailable(message)
            self._away_until_s = now_s + self._pause_s

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except RedisError as error:
            self._went(error)
        if self._away_until_s is not None:
            self._came_back()
        return answer

    def _went(self, error: RedisError) -> NoReturn:
        with self._lock:
            first = self._away_until_s is None
            self._away_until_s = time.monotonic() + self._pause_s
        if first:
            _log.warning("%s: Redis is away (%s)", self._purpose, _cause(error))
        message = f"{self._purpose}: Redis does not answer"
        raise Unavailable(message) from error

    def _came_back(self) -> None:
        with self._lock:
            first = self._away_until_s is not None
            self._away_until_s = None
        if first:
            _log.warning("%s: Redis is back", self._purpose)


def parse_url(url: str) -> tuple[str, dict[str, str | int]]:
    """The scheme and the connection's arguments; stricter than redis-py, whose options could undo the time-outs.

    Raises:
        ValueError: Says what is wrong without repeating a part of the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORT
    except ValueError:
        # urllib's message shows the part at fault, which is the password where that holds an unescaped character
        raise _wrong("host or port is malformed; write /, ?, # and @ in a password as %2F, %3F, %23, %40") from None
    if parts.scheme not in _CONNECTIONS:
        raise _wrong("it must start with redis://, rediss:// or unix://")
    if parts.fragment:
        raise _wrong("it has a #; write # in a password as %23")
    options = _options(parts)
    if parts.scheme == "unix":
        if not parts.path or parts.netloc.rpartition("@")[2] or "\0" in unquote(parts.path):
            raise _wrong("a socket is written unix:///PATH")
        return "unix", options | {"path": unquote(parts.path)}
    return parts.scheme, options | {"host": _host(parts.hostname or ""), "port": port}


def _host(host: str) -> str:
    if not host:
        raise _wrong("the host is missing")
    try:
        host.encode("idna")
    except UnicodeError:
        raise _wrong("the host is not a host name") from None
    if not re.fullmatch(r"[\w.:-]+", host):
        raise _wrong("the host is not a host name")
    return host


def _options(parts: SplitResult) -> dict[str, str | int]:
    options: dict[str, str | int] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= _OPTIONS:
        raise _wrong(f"known options are {', '.join(sorted(_OPTIONS))}")
    if parts.scheme != "rediss" and options.keys() - {"db"}:
        raise _wrong("ssl_ options need rediss://")
    database = str(options.get("db", "")) if parts.scheme == "unix" else parts.path.lstrip("/")
    database = database or str(options.get("db", "0"))
    if not re.fullmatch("[0-9]{1,4}", database):
        raise _wrong("the database must be a number, as in redis://HOST:6379/0")
    if options.get("ssl_cert_reqs", "required") not in {"none", "optional", "required"}:
        raise _wrong("ssl_cert_reqs is none, optional or required")
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    return options | {"db": int(database)}


def _wrong(reason: str) -> ValueError:
    return ValueError(f"REDIS_URL is wrong: {reason}")


def _cause(error: RedisError) -> str:
    """The kind of failure and Redis's code word for it; never the text, which can repeat an argument of AUTH."""
    word = str(error).split(" ", 1)[0]
    return f"{type(error).__name__} {word}" if re.fullmatch("[A-Z]{3,}", word) else type(error).__name__
