"""Times handlers of the unpacked zip, in Lambda's Python, with records in memory: what our own code takes.

Run by `bench lambda` as ``python in_zip.py TASK RUNTIME``. Standard input: ``{"one": event, "many": event, "batch":
event, "times": n}``; output: milliseconds of each call, ``{"one": [...], "many": [...], "batch": [...]}``. Nothing of
`infra` can be imported here.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP = 20


class Context:
    """As much of Lambda's context as chalice reads."""

    aws_request_id = "11111111-2222-3333-4444-555555555555"
    log_group_name = function_name = "iotflow"


def main() -> None:
    """Register a device, then time the handlers."""
    import app
    from chalicelib.devices import register
    from chalicelib.model import DeviceDraft
    from chalicelib.wiring import services

    asked = json.load(sys.stdin)
    now = services()
    registered = register(
        DeviceDraft(name="bench", device_type="sensor"),
        devices=now.devices,
        credentials=now.credentials,
        pepper=now.pepper,
        now_ms=time.time_ns() // 1_000_000,
    )
    context = Context()

    def post(name: str) -> None:
        event = asked[name]
        event["headers"]["X-API-Key"] = registered.key
        event["multiValueHeaders"]["X-API-Key"] = [registered.key]
        answer = app.app(event, context)
        if answer["statusCode"] != 201:
            raise SystemExit(answer["body"])

    def store() -> None:
        answer = app.store_readings(asked["batch"], context)
        if answer["batchItemFailures"]:
            raise SystemExit(str(answer))

    times = int(asked["times"])
    fewer = max(1, times // 10)
    took = {"one": timed(lambda: post("one"), times), "many": timed(lambda: post("many"), fewer)}
    print(json.dumps({**took, "batch": timed(store, fewer)}))


def timed(call: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each call, after some that warm up."""
    for _ in range(WARM_UP):
        call()
    took_ms = []
    for _ in range(times):
        started_s = time.perf_counter()
        call()
        took_ms.append((time.perf_counter() - started_s) * 1000)
    return took_ms


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    main()
