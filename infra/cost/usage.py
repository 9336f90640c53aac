"""What one request, and one reading on its way to the store, use of each service.

Milliseconds are medians of `python3 -m infra bench lambda` (docs/performance.md), on a whole processor. Lambda gives a
function a share of one by its memory, so that less memory takes longer. Waiting for AWS cannot be measured without
AWS: those two numbers are assumptions, and stand here to be replaced by an operator's own.
"""

from infra.aws.functions import functions
from infra.aws.names import CONSUMER

WHOLE_PROCESSOR_MB = 1769
"""Memory at which Lambda gives a function one processor. Source: AWS Lambda, Configure function memory."""
ACCEPT = "submit_telemetry"

ACCEPT_MS = 0.1
"""Of the handler of one POST, calls of AWS not counted."""
PARSE_READING_MS = 0.013
"""More of it for each reading beyond the first."""
STORE_READING_MS = 0.006
"""Of the consumer for a reading of five values, the store not counted."""
DYNAMODB_CALL_MS = 5.0
SQS_CALL_MS = 15.0
STORE_CALL_MS = 30.0

READS_A_REQUEST = 2
"""Of DynamoDB: the key and the device, both strongly consistent."""
WRITES_A_REQUEST = 1
"""Of DynamoDB: the ledger. Rate limits take one more where a process lets no more through by itself, and counters six a
minute and process."""
SENDS_A_REQUEST = 1
"""Of SQS."""
READS_A_STORED_MESSAGE, READS_A_RULE_MESSAGE = 1, 2
"""Of DynamoDB: whether the device is still there, and the device itself for what IoT Core's rule sent."""
WRITES_A_STORED_MESSAGE = 1
"""Of DynamoDB: presence, once for each device in a run of the consumer."""
WRITES_A_RUN = 1
"""Of DynamoDB, for each run of the consumer: the ledger."""
TAKEN_AT_ONCE = 10
"""Messages that one call of SQS receives or deletes; Lambda's pollers do both."""
CONSUMED_AT_ONCE = 100
"""Messages that one run of the consumer gets on average."""
MARKED_AT_ONCE = 8
"""Devices whose presence the consumer writes at the same time."""
LOG_BYTES = 700
"""Of one run of a function: Lambda's three lines and ours."""


def accept_gb_s(batch: int) -> float:
    """Gigabyte seconds that accepting one request of *batch* readings is billed."""
    waits_ms = (READS_A_REQUEST + WRITES_A_REQUEST) * DYNAMODB_CALL_MS + SENDS_A_REQUEST * SQS_CALL_MS
    return _gb_s(ACCEPT, ACCEPT_MS + (batch - 1) * PARSE_READING_MS, waits_ms)


def store_gb_s(batch: int) -> float:
    """Gigabyte seconds that storing one message of *batch* readings is billed."""
    calls = 1 + WRITES_A_RUN + WRITES_A_STORED_MESSAGE * CONSUMED_AT_ONCE / MARKED_AT_ONCE
    waits_ms = (STORE_CALL_MS + calls * DYNAMODB_CALL_MS) / CONSUMED_AT_ONCE
    return _gb_s(CONSUMER, batch * STORE_READING_MS, waits_ms)


def _gb_s(function: str, busy_ms: float, waits_ms: float) -> float:
    memory_mb = functions()[function].memory_mb
    slowed_ms = busy_ms * max(1.0, WHOLE_PROCESSOR_MB / memory_mb)
    return (slowed_ms + waits_ms) / 1000 * memory_mb / 1024
