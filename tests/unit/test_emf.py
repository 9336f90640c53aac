"""Log lines that CloudWatch takes for metrics.

Source of the shape: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
"""

import io
import json
import logging

from chalicelib import emf
from chalicelib.logs import JsonFormatter
from chalicelib.model import Message
from tests.builders import NOW_MS


def message(message_id: str, *, readings: int, age_ms: int) -> Message:
    return Message(message_id, "[]", message_id, readings, 1, NOW_MS - age_ms)


def test_a_batch_counts_what_is_done_and_what_comes_again() -> None:
    messages = [
        message("a", readings=3, age_ms=20),
        message("b", readings=4, age_ms=900),
        message("c", readings=5, age_ms=9),
    ]
    told = emf.of_batch("prod", messages, ["b"], now_ms=NOW_MS)
    assert (told["Messages"], told["Readings"], told["DeliveredAgain"], told["Age"]) == (2, 8, 1, 20)


def test_a_batch_of_which_nothing_is_done_has_no_age() -> None:
    told = emf.of_batch("prod", [message("a", readings=3, age_ms=20)], ["a"], now_ms=NOW_MS)
    assert "Age" not in told
    assert told["Readings"] == 0


def test_the_log_line_is_one_that_cloudwatch_takes() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    fields = emf.of_batch("prod", [message("a", readings=3, age_ms=20)], [], now_ms=NOW_MS)
    record = logging.LogRecord("iotflow", logging.INFO, __file__, 1, "Stored", (), None)
    record.fields = fields
    handler.emit(record)
    line = json.loads(stream.getvalue())
    assert line["_aws"]["Timestamp"] == NOW_MS
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "IoTFlow"
    assert directive["Dimensions"] == [["Stage"]]
    assert line["Stage"] == "prod"
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == {
        "Messages": "Count",
        "Readings": "Count",
        "DeliveredAgain": "Count",
        "Age": "Milliseconds",
    }
    assert all(isinstance(line[each["Name"]], int) for each in directive["Metrics"])
