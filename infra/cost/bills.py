"""Bills of a month, by service, in US dollars."""

import math
from typing import NamedTuple

from infra.cost import prices, usage
from infra.cost.prices import HOURS_A_MONTH
from infra.cost.workload import VALUE_BYTES, Workload

STORED_BYTES_A_VALUE = 3.7
"""In IoTDB on disk, after a flush. Source: docs/performance.md."""
SERIES_A_PROCESSOR = 40_000
"""Source: Apache IoTDB, sizing guide: 2 to 4 processors for 100 000 series, 16 to 32 for a million."""
MEMORY_STORE_H = 24
"""How long Timestream keeps new readings in memory, where they can still be written."""
ZONES = 2
"""Availability zones of the VPC in which IoTDB and the functions that reach it are."""


class Item(NamedTuple):
    """A line of a bill."""

    service: str
    what: str
    dollars: float


class Bill(NamedTuple):
    """What a way of running the fleet costs."""

    name: str
    items: list[Item]
    remark: str = ""

    @property
    def dollars(self) -> float:
        """The sum."""
        return sum(item.dollars for item in self.items)


def over_rest(load: Workload, nodes: int) -> Bill:
    """IoTFlow, devices call API Gateway; IoTDB on *nodes* machines."""
    gb_s_m = load.requests_m * usage.accept_gb_s(load.batch)
    accept = [
        Item("API Gateway", f"{load.requests_m:,.1f} M calls", tiered(load.requests_m, prices.REST_CALLS)),
        Item("Lambda", "accepting", _lambda(load.requests_m, gb_s_m)),
        Item(
            "DynamoDB",
            "keys, devices, ledger",
            _records(load.requests_m, usage.READS_A_REQUEST, usage.WRITES_A_REQUEST),
        ),
        Item("SQS", "sending", _queue_calls(load.requests_m * usage.SENDS_A_REQUEST, load)),
        Item("CloudWatch", "logs of accepting", load.requests_m * 1e6 * usage.LOG_BYTES / 1e9 * prices.LOGS_PER_GB),
    ]
    return Bill("IoTFlow over REST", [*accept, *_behind_the_queue(load, nodes, usage.READS_A_STORED_MESSAGE)])


def over_iot_core(load: Workload, nodes: int) -> Bill:
    """IoTFlow, devices stay connected to IoT Core, whose rule sends to SQS; no function runs to accept."""
    accept = [*_iot_core(load), Item("SQS", "sending", _queue_calls(load.requests_m, load))]
    return Bill("IoTFlow over IoT Core", [*accept, *_behind_the_queue(load, nodes, usage.READS_A_RULE_MESSAGE)])


def timestream(load: Workload) -> Bill:
    """IoT Core with its rule to Timestream: one record of all values for each reading, which is its cheapest form."""
    record_bytes = 8 + 30 + load.values * VALUE_BYTES
    written_kb_m = load.requests_m * math.ceil(load.batch * record_bytes / 1024)
    month_gb = load.readings_m * 1e6 * record_bytes / 1e9
    in_memory_gb = month_gb * MEMORY_STORE_H / HOURS_A_MONTH
    on_disk_gb = month_gb * load.kept_days * 24 / HOURS_A_MONTH
    memory = in_memory_gb * HOURS_A_MONTH * prices.TIMESTREAM_MEMORY_PER_GB_HOUR
    items = [
        *_iot_core(load),
        Item("Timestream", f"{written_kb_m:,.1f} M writes of 1 kB", written_kb_m * prices.TIMESTREAM_WRITES_PER_M),
        Item("Timestream", f"{MEMORY_STORE_H} h in memory", memory),
        Item("Timestream", f"{on_disk_gb:,.0f} GB on disk", on_disk_gb * prices.TIMESTREAM_DISK_PER_GB),
    ]
    return Bill("AWS IoT Core + Timestream", items, "takes no new customers; queries not counted")


def thingsboard(load: Workload) -> Bill:
    """ThingsBoard on machines of one's own, as large as its makers' figures ask for; no spare machine."""
    fitting = [each for each in prices.THINGSBOARD if each.values_per_s >= load.values_per_s]
    machine = fitting[0] if fitting else prices.THINGSBOARD[-1]
    count = math.ceil(load.values_per_s / machine.values_per_s) or 1
    disk_gb = load.stored_values_m * 1e6 * 60 / 1e9
    items = [
        Item("EC2", f"{count} x {machine.name}", count * machine.per_month),
        Item("EBS", f"{disk_gb:,.0f} GB, 60 bytes a value in PostgreSQL", disk_gb * prices.GP3_PER_GB),
    ]
    return Bill("ThingsBoard on EC2", items, "nothing is redundant, and somebody has to run it")


def tiered(amount_m: float, tiers: prices.Tiers) -> float:
    """What *amount_m* millions cost where the price falls with the amount."""
    dollars, below = 0.0, 0.0
    for limit, price in tiers:
        dollars += max(0.0, min(amount_m, limit) - below) * price
        below = limit
    return dollars


def _iot_core(load: Workload) -> list[Item]:
    minutes_m = load.devices * HOURS_A_MONTH * 60 / 1e6
    messages_m = load.requests_m * math.ceil(load.request_bytes / prices.IOT_MESSAGE_BYTES)
    rule = prices.IOT_RULES_PER_M + prices.IOT_ACTIONS_PER_M
    return [
        Item("IoT Core", f"{load.devices:,} connections", minutes_m * prices.IOT_CONNECTION_PER_M_MINUTES),
        Item("IoT Core", f"{messages_m:,.1f} M messages of 5 kB", tiered(messages_m, prices.IOT_MESSAGES)),
        Item("IoT Core", "rule and its action", messages_m * rule),
    ]


def _behind_the_queue(load: Workload, nodes: int, reads: int) -> list[Item]:
    runs_m = load.requests_m / usage.CONSUMED_AT_ONCE
    gb_s_m = load.requests_m * usage.store_gb_s(load.batch)
    taking_m = 2 * load.requests_m / usage.TAKEN_AT_ONCE
    writes = usage.WRITES_A_STORED_MESSAGE + usage.WRITES_A_RUN / usage.CONSUMED_AT_ONCE
    machine = machine_for(load, nodes)
    disk_gb = nodes * max(20.0, load.stored_values_m * 1e6 * STORED_BYTES_A_VALUE / 1e9 * 2)
    return [
        Item("SQS", "receiving and deleting", _queue_calls(taking_m, load)),
        Item("Lambda", "storing", _lambda(runs_m, gb_s_m)),
        Item("DynamoDB", "devices, presence, ledger", _records(load.requests_m, reads, writes)),
        Item("EC2", f"IoTDB, {nodes} x {machine.name}", nodes * machine.per_hour * HOURS_A_MONTH),
        Item("EBS", f"{disk_gb:,.0f} GB, half of it free", disk_gb * prices.GP3_PER_GB),
        Item("VPC", "endpoint of SQS", ZONES * prices.ENDPOINT_PER_HOUR * HOURS_A_MONTH),
        Item("CloudWatch", "alarms", 6 * prices.ALARM),
        Item("Secrets Manager", "pepper", prices.SECRET),
    ]


def machine_for(load: Workload, nodes: int) -> prices.Machine:
    """The smallest machine on *nodes* of which the fleet's series fit; the largest known when none is enough."""
    processors = load.series / SERIES_A_PROCESSOR / nodes
    return next((each for each in prices.MACHINES if each.processors >= processors), prices.MACHINES[-1])


def _lambda(calls_m: float, gb_s_m: float) -> float:
    return calls_m * prices.LAMBDA_CALLS_PER_M + gb_s_m * 1e6 * prices.LAMBDA_ARM_PER_GB_S


def _records(requests_m: float, reads: float, writes: float) -> float:
    return requests_m * (reads * prices.DYNAMODB_READS_PER_M + writes * prices.DYNAMODB_WRITES_PER_M)


def _queue_calls(calls_m: float, load: Workload) -> float:
    return calls_m * math.ceil(load.request_bytes / prices.SQS_CALL_BYTES) * prices.SQS_CALLS_PER_M
