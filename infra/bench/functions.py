"""`bench lambda`: packaged functions in clean processes, as Lambda starts them, and their handlers without AWS."""

import json
import statistics
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from chalicelib.codec import batch_to_json
from chalicelib.model import DEFAULT_TENANT, Batch, DeviceRef, Message, Reading
from infra.aws import lambda_process, packaging
from infra.aws.functions import functions
from infra.bench import machine
from infra.bench.figures import Figure, Report, Target
from infra.bench.options import Options
from infra.bench.store import VALUES
from infra.failure import Failure
from infra.local.source_events import sqs_event

ACCEPT, CONSUME = "submit_telemetry", "store_readings"
STARTS = 11
MESSAGES, READINGS = 10, 100
FIRST_MS = 1_767_225_600_000
IN_MEMORY = {
    "IOTFLOW_DEVICES": "memory",
    "IOTFLOW_QUEUE": "memory",
    "IOTFLOW_STORE": "memory",
    "IOTFLOW_PEPPER": "a pepper of benchmarks",
    "RATE_LIMIT_PER_MINUTE": "10000000",
    "IOTFLOW_DEVICE_BURST": "1000000",
}
TARGETS = {
    "init": Target(200, 90),
    "memory": Target(90, 60),
    "one": Target(0.6, 0.25),
    "batch": Target(25, 10),
}
HANDLERS = {
    "one": "POST of one reading, without AWS",
    "many": f"POST of {READINGS} readings, without AWS",
    "batch": f"{MESSAGES} messages of {READINGS} readings, without the store",
}


def run(options: Options, folder: Path) -> Report:
    """Package the local stage, whose processor is this machine's, and measure it."""
    environment = packaging.environment(packaging.FOLDER)
    task, runtime = unpacked(environment, folder), lambda_process.provide(environment, folder / "runtime")
    report = Report("lambda", machine.describe(folder), options.conditions())
    starts = [start(task, runtime, ACCEPT) for _ in range(2 if options.quick else STARTS)]
    inits = tuple(each.init_ms for each in starts)
    took = [handled(task, runtime, 20 if options.quick else 2000) for _ in range(options.runs)]
    consumer = tuple(start(task, runtime, CONSUME).init_ms for _ in range(2 if options.quick else STARTS))
    report.figures = [
        Figure("init", f"start of {ACCEPT}, Python's own included", "ms", inits, TARGETS["init"]),
        Figure("init_p95", "its 95th percentile", "ms", (_p95(inits),)),
        Figure("memory", f"peak memory of {ACCEPT}", "MB", tuple(each.peak_mb for each in starts), TARGETS["memory"]),
        Figure("consumer_init", f"start of {CONSUME}", "ms", consumer),
        *(
            Figure(name, what, "ms", tuple(each[name] for each in took), TARGETS.get(name))
            for name, what in HANDLERS.items()
        ),
    ]
    return report


def start(task: Path, runtime: Path, function: str) -> lambda_process.Run:
    """Start a function as Lambda does, and end it once it asks for its first event."""
    variables = functions()[function].environment("prod") | IN_MEMORY
    handler = "app.store_readings" if function == CONSUME else "app.app"
    return lambda_process.run(packaging.interpreter(), task, runtime, handler, [], variables)


def handled(task: Path, runtime: Path, times: int) -> dict[str, float]:
    """Median milliseconds of a call of each handler, in one clean process.

    Raises:
        Failure: A handler did not do its work.
    """
    readings = [{"timestamp": FIRST_MS + number, "data": VALUES} for number in range(READINGS)]
    asked = {"one": _post({"data": VALUES}), "many": _post({"readings": readings}), "batch": _batch(), "times": times}
    done = subprocess.run(
        [packaging.interpreter(), "-I", "-B", Path(__file__).with_name("in_zip.py"), task, runtime],
        input=json.dumps(asked),
        env={**IN_MEMORY, "ENDPOINT_MODULE": functions()[ACCEPT].module, "LOG_LEVEL": "error", "TZ": ":UTC"},
        cwd=task,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"a packaged handler failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
        raise Failure(message)
    return {name: statistics.median(took_ms) for name, took_ms in json.loads(done.stdout).items()}


def unpacked(environment: Path, folder: Path) -> Path:
    """The zip's content in a folder."""
    packaging.package(environment, "local", folder / "out")
    task = folder / "task"
    with zipfile.ZipFile(folder / "out" / "deployment.zip") as archive:
        archive.extractall(task)
    return task


def _post(body: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    path = "/api/v1/devices/telemetry"
    return {
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": path,
            "httpMethod": "POST",
            "path": path,
            "requestId": "11111111-2222-3333-4444-555555555555",
            "stage": "prod",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def _batch() -> dict[str, Any]:
    device = DeviceRef(DEFAULT_TENANT, 1)
    messages = [
        Message(
            id=str(at),
            body=batch_to_json(Batch(device, FIRST_MS, tuple(_readings(device, at)))),
            receipt=str(at),
            readings=READINGS,
            receive_count=1,
            sent_ms=FIRST_MS,
        )
        for at in range(MESSAGES)
    ]
    return sqs_event(messages, queue_name="iotflow-telemetry-prod", now_ms=FIRST_MS)


def _readings(device: DeviceRef, at: int) -> list[Reading]:
    return [Reading(device, FIRST_MS + (at * READINGS + number) * 1000, VALUES) for number in range(READINGS)]


def _p95(values: tuple[float, ...]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]
