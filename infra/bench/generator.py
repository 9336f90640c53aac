"""A load generator without dependencies: asyncio, one coroutine for each connection, HTTP/1.1 as far as it needs."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

PATH = "/api/v1/devices/telemetry"
VALUES = '{"temperature":21.5,"humidity":48.25,"pressure":1013.1,"battery":87,"online":true}'


class Answer(NamedTuple):
    """One answer: its status and how long it took."""

    status: int
    ms: float


class Answered(NamedTuple):
    """All answers, the requests that had none, and the time from the first request to the last answer."""

    answers: list[Answer]
    broken: int
    seconds: float


def run(port: int, keys: Sequence[str], *, readings: int, connections: int, seconds: float, first_s: int) -> Answered:
    """Send for *seconds* from *connections* at once, the devices of *keys* in turn; see `load.Load`."""
    requests = _requests(keys, readings, first_s)
    return asyncio.run(_run(port, requests, connections, seconds))


async def _run(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Answered:
    started_s = time.perf_counter()
    each = [_connection(port, requests, started_s + seconds) for _ in range(connections)]
    found = await asyncio.gather(*each)
    ended_s = time.perf_counter()
    answers = [answer for some, _ in found for answer in some]
    return Answered(answers, sum(broken for _, broken in found), ended_s - started_s)


async def _connection(port: int, requests: Iterator[bytes], end_s: float) -> tuple[list[Answer], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers: list[Answer] = []
    try:
        while (started_s := time.perf_counter()) < end_s:
            writer.write(next(requests))
            status = await _status(reader)
            answers.append(Answer(status, (time.perf_counter() - started_s) * 1000))
    except (OSError, asyncio.IncompleteReadError):
        return answers, 1
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return answers, 0


async def _status(reader: asyncio.StreamReader) -> int:
    """Read one answer with a Content-Length and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head[9:12])


def _requests(keys: Sequence[str], readings: int, first_s: int) -> Iterator[bytes]:
    for number in itertools.count():
        body = body_of(readings, first_s + number // len(keys) * readings).encode()
        yield (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"X-API-Key: {keys[number % len(keys)]}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def body_of(readings: int, start_s: int) -> str:
    """One reading without a timestamp, or a batch of readings a second apart."""
    if readings == 1:
        return f'{{"data":{VALUES}}}'
    stamps = (datetime.fromtimestamp(start_s + number, UTC) for number in range(1, readings + 1))
    rows = (f'{{"timestamp":"{stamp:%Y-%m-%dT%H:%M:%SZ}","data":{VALUES}}}' for stamp in stamps)
    return f'{{"readings":[{",".join(rows)}]}}'
