"""What a log line looks like, and what never stands in one."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from chalicelib.logs import OURS, JsonFormatter, TextFormatter, configure, without_secrets

KEY = "iotf_dev_4fJq0ZkWm2Xa_" + "s" * 38


def record(message: str, *arguments: object, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("iotflow.http", level, __file__, 1, message, arguments, None)
    made.created = 1_751_552_400.5
    made.__dict__.update(extra)
    return made


def raised(text: str) -> tuple[type[ValueError], ValueError, None]:
    """What `sys.exc_info` says of an error."""
    return ValueError, ValueError(text), None


def test_json_line_has_time_level_logger_message_and_the_fields_in_this_order() -> None:
    line = JsonFormatter().format(record("%s %s", "heartbeat", 200, fields={"request_id": "r1", "status": 200}))
    assert line == (
        '{"time": "2025-07-03T14:20:00.500Z", "level": "info", "logger": "iotflow.http", '
        '"message": "heartbeat 200", "request_id": "r1", "status": 200}'
    )


def test_json_line_stays_one_line_whatever_the_message() -> None:
    line = JsonFormatter().format(record('a\nb\r\u2028"c', fields={"odd": object}))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == 'a\nb\r\u2028"c'


def test_field_cannot_replace_what_the_record_says() -> None:
    line = json.loads(JsonFormatter().format(record("m", fields={"level": "fatal", "time": 0})))
    assert (line["level"], line["level_"], line["time_"]) == ("info", "fatal", 0)


def test_exception_is_one_field_of_json() -> None:
    line = JsonFormatter().format(record("met a bug", exc_info=raised("wrong")))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["exception"].endswith("ValueError: wrong")


def test_text_line_is_for_people() -> None:
    line = TextFormatter().format(record("heartbeat %s", 200, fields={"request_id": "r1", "ms": 0.4}))
    assert line == "2025-07-03T14:20:00.500Z INFO    iotflow.http heartbeat 200 request_id=r1 ms=0.4"


def test_text_message_cannot_forge_a_second_line_or_a_colour() -> None:
    line = TextFormatter().format(record("a\n2025 INFO forged \x1b[31m", fields={"name": "b\rc"}))
    assert line.endswith(r"a\x0a2025 INFO forged \x1b[31m name=b\x0dc")


def test_text_traceback_follows_its_line() -> None:
    text = TextFormatter().format(record("met a bug", exc_info=raised("wrong")))
    assert text.endswith("iotflow.http met a bug\nValueError: wrong")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_no_line_holds_a_secret(formatter: logging.Formatter) -> None:
    error = raised(f"redis://user:hunter2@cache:6379/0 refused {KEY}")
    fields = {"url": "redis://:hunter2@cache", "key": KEY}
    line = formatter.format(record("key %s", KEY, exc_info=error, fields=fields))
    assert "ssss" not in line
    assert "hunter2" not in line
    assert "iotf_dev_4fJq0ZkWm2Xa_..." in line, "the public id finds the device"


def test_text_without_secrets_stays_as_it_is() -> None:
    text = "GET http://127.0.0.1:5000/docs iotf_ a@b.example"
    assert without_secrets(text) == text


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Puts back what `configure` changes."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *OURS)}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
    ids=["auto elsewhere", "auto on a terminal", "json", "text"],
)
def test_form_of_lines_follows_the_setting_and_the_stream(form: str, stream: io.StringIO, is_json: bool) -> None:
    configure(level="info", form=form, stream=stream)
    logging.getLogger("iotflow.http").info("here")
    assert stream.getvalue().startswith("{") is is_json
    assert stream.getvalue().count("\n") == 1


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["ours debug", "ours info", "ours error", "theirs error"]),
        ("info", ["ours info", "ours error", "theirs error"]),
        ("error", ["ours error", "theirs error"]),
    ],
)
def test_level_is_for_our_loggers_and_others_only_warn(level: str, heard: list[str]) -> None:
    stream = io.StringIO()
    configure(level=level, form="json", stream=stream)
    configure(level=level, form="json", stream=stream)
    for name, logger in (("ours", "chalicelib.ingest"), ("theirs", "botocore")):
        for severity in ("debug", "info", "error"):
            getattr(logging.getLogger(logger), severity)("%s %s", name, severity)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == heard
