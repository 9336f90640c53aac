"""The deployable app: which resources there are, the queue's consumer, the schedules. Nothing else."""

import logging
import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chalice.app import Rate, SQSEvent

from chalicelib import api, emf, http, ingest, iot_core, logs, upkeep
from chalicelib.declare import Worker
from chalicelib.edge import App
from chalicelib.model import Message
from chalicelib.retention import Retention
from chalicelib.wiring import services

app = App(app_name="iotflow", configure_logs=False)
app.api.binary_types = ["application/cbor", "application/senml+cbor"]

log = logging.getLogger("iotflow.app")
IN_LAMBDA = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
if IN_LAMBDA:  # elsewhere, whoever imports this decides
    logs.configure(level=services().settings.log_level, form=services().settings.log_format)
    services().prepare()

if "AWS_CHALICE_CLI_MODE" in os.environ and find_spec("infra"):  # chalice's command line, never a Lambda
    import_module("infra.chalice_cli").extend()

only = os.environ.get("ENDPOINT_MODULE")
for module in api.MODULES:
    if only in (None, module):
        app.register_blueprint(api.resource(module).blueprint)

NOT_COUNTED = {"stringValue": "0"}
"""The rule of IoT Core cannot say how many readings a message has."""

WORKERS = (
    Worker(
        "store_readings",
        uses=(
            "queue:consume",
            "readings:write",
            "devices:get",
            "devices:existing",
            "declarations:get",
            "presence:mark",
            "counters:write",
        ),
        memory_mb=1024,
        timeout_s=60,
    ),
    Worker("authorize_mqtt", uses=("credentials:get", "devices:get"), memory_mb=512, timeout_s=5),
    Worker(
        "keep_up",
        uses=(
            "devices:tidy",
            "queue:tidy",
            "readings:delete",
            "idempotency:tidy",
            "counters:tidy",
            "commands:tidy",
            "commands:purge",
            "twins:purge",
        ),
        memory_mb=512,
        timeout_s=300,
    ),
)


@app.on_sqs_message(queue="iotflow-telemetry", batch_size=1000, maximum_batching_window_in_seconds=1)
def store_readings(event: SQSEvent) -> dict[str, Any]:
    """Store what the queue delivers; messages that are to be delivered again are named in the answer."""
    now, now_ms = services(), http.clock_ms()
    messages = [_message(record.to_dict()) for record in event]
    now.queue.adopt(messages)
    failed = ingest.store_apart(
        messages,
        ingest.Sinks(
            now.queue,
            now.readings,
            now.devices,
            now.presence,
            read=iot_core.reader(now.devices, now.limits),
            retention=Retention(dict(now.settings.retention_days), now.devices),
            counters=now.counters,
        ),
        last_receive=now.settings.max_receives,
        now_ms=now_ms,
    )
    now.queue.settled([message.receipt for message in messages if message.id not in failed], now_ms=now_ms)
    if IN_LAMBDA:
        log.info("Stored", extra={"fields": emf.of_batch(now.settings.stage, messages, failed, now_ms=now_ms)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


@app.lambda_function(name="authorize_mqtt")
def authorize_mqtt(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Tell AWS IoT Core whether a client may connect, and to which topics."""
    now = services()
    return iot_core.authorize(
        event,
        function_arn=context.invoked_function_arn,
        credentials=now.credentials,
        devices=now.devices,
        pepper=now.pepper,
        now_ms=http.clock_ms(),
    )


@app.schedule(Rate(5, unit=Rate.MINUTES))
def keep_up(event: Any) -> None:  # noqa: ARG001 - every schedule is handed its event
    """Retention, purging of removed devices, forgetting of what is too old to matter."""
    now = services()
    now.queue.tidy(now_ms=http.clock_ms())
    upkeep.tidy(
        dict(now.settings.retention_days),
        devices=now.devices,
        readings=now.readings,
        commands=now.commands,
        twins=now.twins,
        idempotency=now.idempotency,
        counters=now.counters,
        now_ms=http.clock_ms(),
    )


def _message(record: dict[str, Any]) -> Message:
    attributes = record["attributes"]
    readings = record["messageAttributes"].get("readings", NOT_COUNTED).get("stringValue", "")
    return Message(
        id=record["messageId"],
        body=record["body"],
        receipt=record["receiptHandle"],
        readings=int(readings) if readings.isdecimal() else 0,
        receive_count=int(attributes["ApproximateReceiveCount"]),
        sent_ms=int(attributes["SentTimestamp"]),
    )
