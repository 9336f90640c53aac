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
WRITES_A_REQUEST = 3
"""Of DynamoDB: the rate limits of the address and of the device, and the counters."""
WRITES_A_STORED_BATCH = 2
"""Of DynamoDB, for each message that the consumer stores: presence, and its share of the ledger."""
TAKEN_AT_ONCE = 10
"""Messages that one call of SQS receives or deletes; Lambda's pollers do both."""
CONSUMED_AT_ONCE = 100
"""Messages that one run of the consumer gets on average."""
LOG_BYTES = 700
"""Of one run of a function: Lambda's three lines and ours."""


def accept_gb_s(batch: int) -> float:
    """Gigabyte seconds that accepting one request of *batch* readings is billed."""
    waits_ms = READS_A_REQUEST * DYNAMODB_CALL_MS + WRITES_A_REQUEST * DYNAMODB_CALL_MS + SQS_CALL_MS
    return _gb_s(ACCEPT, ACCEPT_MS + (batch - 1) * PARSE_READING_MS, waits_ms)


def store_gb_s(batch: int) -> float:
    """Gigabyte seconds that storing one message of *batch* readings is billed."""
    waits_ms = (STORE_CALL_MS + WRITES_A_STORED_BATCH * DYNAMODB_CALL_MS) / CONSUMED_AT_ONCE
    return _gb_s(CONSUMER, batch * STORE_READING_MS, waits_ms)


def _gb_s(function: str, busy_ms: float, waits_ms: float) -> float:
    memory_mb = functions()[function].memory_mb
    slowed_ms = busy_ms * max(1.0, WHOLE_PROCESSOR_MB / memory_mb)
    return (slowed_ms + waits_ms) / 1000 * memory_mb / 1024
