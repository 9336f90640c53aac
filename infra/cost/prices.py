"""List prices in US dollars, region N. Virginia (us-east-1), Linux, on demand, without free tiers, taxes and discounts.

Source: the AWS pricing page of each service, as of `AS_OF`. Prices change: compare before a budget depends on them.
"""

from typing import NamedTuple

AS_OF = "2025-11"
HOURS_A_MONTH = 730

Tiers = tuple[tuple[float, float], ...]
"""(millions up to here, dollars a million), the last one without a limit."""
ENDLESS = float("inf")

REST_CALLS: Tiers = ((333, 3.50), (1_000, 2.80), (20_000, 2.38), (ENDLESS, 1.51))
"""API Gateway, REST API: calls a month."""
LAMBDA_CALLS_PER_M = 0.20
LAMBDA_ARM_PER_GB_S = 0.0000133334
SQS_CALLS_PER_M = 0.40
"""Standard queue. A call carries up to 64 kB; a larger one counts once for each 64 kB."""
SQS_CALL_BYTES = 65_536
DYNAMODB_WRITES_PER_M = 0.625
"""On demand, a write of up to 1 kB."""
DYNAMODB_READS_PER_M = 0.125
"""On demand, a strongly consistent read of up to 4 kB."""
LOGS_PER_GB = 0.50
ALARM = 0.10
SECRET = 0.40
ENDPOINT_PER_HOUR = 0.01
"""An interface endpoint of a VPC, in one availability zone."""
IOT_CONNECTION_PER_M_MINUTES = 0.08
IOT_MESSAGES: Tiers = ((1_000, 1.00), (5_000, 0.80), (ENDLESS, 0.70))
"""IoT Core: messages a month, each of up to 5 kB."""
IOT_MESSAGE_BYTES = 5_120
IOT_RULES_PER_M = 0.15
IOT_ACTIONS_PER_M = 0.15
TIMESTREAM_WRITES_PER_M = 0.50
"""Timestream for LiveAnalytics, writes of 1 kB. It takes no new customers since June 2025."""
TIMESTREAM_MEMORY_PER_GB_HOUR = 0.036
TIMESTREAM_DISK_PER_GB = 0.03
GP3_PER_GB = 0.08


class Machine(NamedTuple):
    """An EC2 instance type: virtual processors, memory in GB, dollars an hour."""

    name: str
    processors: int
    memory_gb: int
    per_hour: float


MACHINES = (
    Machine("m7g.large", 2, 8, 0.0816),
    Machine("m7g.xlarge", 4, 16, 0.1632),
    Machine("m7g.2xlarge", 8, 32, 0.3264),
    Machine("m7g.4xlarge", 16, 64, 0.6528),
)


class Reported(NamedTuple):
    """A machine on which ThingsBoard's makers measured how much it takes."""

    name: str
    values_per_s: int
    per_month: float


THINGSBOARD = (
    Reported("t3.medium", 3_000, 30.0),
    Reported("m6a.large", 15_000, 50.0),
    Reported("m6a.2xlarge", 30_000, 191.0),
)
"""Source: ThingsBoard, performance comparison: values a second and its own estimate of the machine's price."""
