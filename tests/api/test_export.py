"""Telemetry as a file over HTTP: pages that fit API Gateway, exact values, nothing that a spreadsheet executes."""

import csv
import io
import json
from urllib.parse import urljoin

import pytest

from tests.api.client import Answer, Client
from tests.api.service import RegisteredDevice, Service
from tests.api.test_conventions import assert_error

AT = 1_700_000_000_000
ISO = "2023-11-14T22:13:20.000Z"
LAMBDA_BYTES = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def filled(service: Service) -> RegisteredDevice:
    """A device with ten readings of all types."""
    device = service.device(name="=cmd|'x'!A0")
    rows = [{"timestamp": AT + at, "data": {"n": at, "x": at / 2, "ok": at % 2 == 0, "w": "=1+1"}} for at in range(9)]
    rows.append({"timestamp": AT + 9, "data": {"n": 2**63 - 1, "t": "12", "timestamp": "@x", "größe": -1}})
    service.send(device, {"readings": rows})
    return device


def path_of(device: RegisteredDevice, query: str = "") -> str:
    return f"/api/v1/telemetry/{device.id}/export?{query}"


def lines(answer: Answer) -> list[dict[str, object]]:
    """JSON Lines, parsed."""
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def table(answer: Answer) -> list[list[str]]:
    """CSV, parsed."""
    assert answer.status == 200, answer.body
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))


def test_json_lines_hold_every_value_as_it_was_sent(nobody: Client, filled: RegisteredDevice) -> None:
    answer = nobody.get(path_of(filled, "format=jsonl"))
    found = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="device-{filled.id}.jsonl"'
    assert "link" not in answer.headers
    assert len(found) == 10
    assert found[2] == {
        "device": filled.name,
        "timestamp": "2023-11-14T22:13:20.002Z",
        "data": {"n": 2, "ok": True, "w": "=1+1", "x": 1.0},
    }
    assert b'"x":1.0' in answer.body.splitlines()[2]
    assert found[9]["data"] == {"größe": -1, "n": 2**63 - 1, "t": "12", "timestamp": "@x"}


def test_csv_has_a_column_a_measurement_and_no_formulas(nobody: Client, filled: RegisteredDevice) -> None:
    answer = nobody.get(path_of(filled))
    rows = table(answer)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith("\ufeff".encode())
    assert rows[0] == ["device", "timestamp", "größe", "n", "ok", "t", "timestamp", "w", "x"]
    assert rows[1] == [f"'{filled.name}", ISO, "", "0", "true", "", "", "'=1+1", "0.0"]
    assert rows[10][2:7] == ["-1", str(2**63 - 1), "", "'12", "'@x"]


def test_pages_follow_the_link_to_every_reading_once(nobody: Client, filled: RegisteredDevice) -> None:
    for form in ("csv", "jsonl"):
        seen: list[object] = []
        path = path_of(filled, f"format={form}&limit=4&fields=n,w")
        for expected in (4, 4, 2):
            answer = nobody.get(path)
            page = [row[2] for row in table(answer)[1:]] if form == "csv" else [row["data"] for row in lines(answer)]
            assert len(page) == expected
            seen += page
            link = answer.headers.get("link", "")
            if expected == 4:
                assert answer.headers["x-next-cursor"] in link
                assert link.endswith('>; rel="next"')
                path = urljoin(path, link[1 : link.index(">")])
            else:
                assert not link
        assert len(seen) == len(set(map(str, seen))) == 10


def test_range_and_fields_narrow_the_export(nobody: Client, filled: RegisteredDevice) -> None:
    answer = nobody.get(path_of(filled, f"format=jsonl&start_time={AT + 2}&end_time={AT + 4}&fields=n"))
    assert [row["data"] for row in lines(answer)] == [{"n": 2}, {"n": 3}]
    assert table(nobody.get(path_of(filled, f"start_time={AT}&end_time={AT}")))[1:] == []
    assert lines(nobody.get(path_of(filled, "format=jsonl&fields=nothing"))) == []


def test_link_that_no_gateway_would_pass_is_left_to_the_cursor(nobody: Client, filled: RegisteredDevice) -> None:
    answer = nobody.get(path_of(filled, f"limit=1&fields=n,{','.join(f'{at:064d}' for at in range(99))}"))
    assert table(answer)[1][2] == "0"
    assert "link" not in answer.headers
    assert answer.headers["x-next-cursor"] == f"a{AT + 1}"


def test_device_without_readings_exports_a_header(nobody: Client, device: RegisteredDevice) -> None:
    assert table(nobody.get(path_of(device))) == [["device", "timestamp"]]
    assert nobody.get(path_of(device, "format=jsonl")).body == b""


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=xml", "format"),
        ("limit=0", "limit"),
        ("limit=100001", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=d5", "cursor"),
        ("start_time=x", "start_time"),
        ("start_time=-1h&end_time=-2h", "start_time"),
        ("fields=" + "x" * 65, "fields"),
        ("layout=wide", "layout"),
    ],
)
def test_wrong_parameter_is_named(nobody: Client, filled: RegisteredDevice, query: str, field: str) -> None:
    assert_error(nobody.get(path_of(filled, query)), 400, field=field)


def test_head_is_the_export_without_its_body(nobody: Client, filled: RegisteredDevice) -> None:
    got, head = nobody.get(path_of(filled)), nobody.call("HEAD", path_of(filled))
    assert (head.status, head.body) == (200, b"")
    for name in ("content-type", "content-disposition"):
        assert head.headers[name] == got.headers[name]


def test_large_export_comes_in_answers_that_lambda_can_give(service: Service, nobody: Client) -> None:
    """9 MB of text that doubles when it is escaped."""
    device = service.device()
    text = '"\\' * 2000
    for first in range(0, 2400, 240):
        rows = [{"timestamp": AT + at, "data": {"w": text, "n": at}} for at in range(first, first + 120)]
        service.send(device, {"readings": rows})
    seen: list[object] = []
    path = path_of(device, "format=jsonl")
    assert nobody.get(path, Accept_Encoding="gzip").unpacked().body == nobody.get(path).body
    pages = 0
    while path:
        answer = nobody.get(path)
        assert len(json.dumps(answer.body.decode())) < LAMBDA_BYTES
        seen += [row["data"]["n"] for row in lines(answer)]  # type: ignore[index]
        pages += 1
        link = answer.headers.get("link", "")
        path = urljoin(path, link[1 : link.index(">")]) if link else ""
    assert seen == [at for first in range(0, 2400, 240) for at in range(first, first + 120)]
    assert 1 < pages < 10
