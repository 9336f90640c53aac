"""The simulators against a running instance, as their users start them, and their HTTP client against a rude server."""

import json
import signal
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from simulators.client import DeviceClient, HttpTransport, NoAnswer, TimedReading
from simulators.keys import KeyFile
from tests.e2e.instance import ROOT, Instance, eventually

RUN_S = 90.0


def command(program: str, url: str, keys: Path, *arguments: str) -> list[str]:
    """Return the command line of a simulator that prints its totals as JSON."""
    file = str(ROOT / "simulators" / f"{program}.py")
    return [sys.executable, file, "--url", url, "--keys", str(keys), "--json", *arguments]


def simulate(program: str, url: str, keys: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a simulator to its end; return its exit code and its totals."""
    ended = subprocess.run(
        command(program, url, keys, *arguments), capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def fetch(url: str) -> dict[str, Any]:
    """Return the JSON at a loopback URL; {} for 404."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            body: dict[str, Any] = json.load(answer)
            return body
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise
        return {}


def stored_rows(url: str, device_id: str, start: str) -> list[dict[str, Any]]:
    """Return the device's rows since a time, oldest first."""
    path = f"/api/v1/telemetry/{device_id}?start_time={start}&limit=10000&order=asc"
    rows: list[dict[str, Any]] = fetch(url + path).get("data", [])
    return rows


def is_stored(url: str, device: dict[str, Any], start: str) -> bool:
    """Tell whether the device's rows are exactly as many as were accepted."""
    accepted: int = device["accepted"]
    return len(stored_rows(url, device["id"], start)) == accepted


def test_every_device_of_a_factory_has_rows(instance: Instance, tmp_path: Path) -> None:
    code, totals = simulate(
        "fleet_simulator", instance.url, tmp_path / "keys", "--preset", "factory", "--duration", "6"
    )
    assert (code, totals["devices"]["registered"], totals["readings"]["lost"]) == (0, 30, 0)
    waiting = {device["id"] for device in totals["fleet"]}
    assert len(waiting) == 30

    def all_stored() -> bool:
        waiting.difference_update([i for i in waiting if fetch(f"{instance.url}/api/v1/telemetry/{i}/latest")])
        return not waiting

    assert eventually(all_stored), f"no rows of {waiting}"


def test_history_is_stored_whole_and_a_repeated_run_changes_nothing(instance: Instance, tmp_path: Path) -> None:
    start = "2025-07-01T00:00:00Z"
    history = ("--preset", "test_suite", "--seed", "7", "--start", start, "--backfill", "2h")
    code, first = simulate("fleet_simulator", instance.url, tmp_path / "keys", *history)
    assert code == 0
    for device in first["fleet"]:
        assert eventually(partial(is_stored, instance.url, device, start))
    before = [stored_rows(instance.url, device["id"], start) for device in first["fleet"]]
    code, second = simulate("fleet_simulator", instance.url, tmp_path / "keys", *history)
    assert (code, second["devices"]["reused"]) == (0, 5)
    assert second["readings"]["accepted"] == first["readings"]["accepted"]
    status = f"{instance.url}/api/v1/telemetry/status"
    assert eventually(lambda: fetch(status)["ledger"]["stored"] == 2 * first["readings"]["accepted"])
    assert [stored_rows(instance.url, device["id"], start) for device in second["fleet"]] == before


def test_run_survives_the_death_of_the_front_and_loses_nothing(instance: Instance, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    arguments = ("--preset", "test_suite", "--duration", "8", "--telemetry-interval", "0.1", "--failure-rate", "0")
    running = subprocess.Popen(
        command("fleet_simulator", instance.url, keys, *arguments), stdout=subprocess.PIPE, text=True
    )
    assert eventually(lambda: keys.exists() and keys.read_text().count("iotf_dev_") == 5)
    assert instance.runs_again("front", instance.kill("front"))
    output, _ = running.communicate(timeout=RUN_S)
    totals = json.loads(output)
    assert (running.returncode, totals["readings"]["lost"]) == (0, 0)
    start = totals["simulated"]["from"]
    for device in totals["fleet"]:
        assert eventually(partial(is_stored, instance.url, device, start))


def test_interrupt_ends_a_run_cleanly_with_totals(instance: Instance, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    line = command("basic_device_simulator", instance.url, keys, "--telemetry-interval", "0.2", "--failure-rate", "0")
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert eventually(keys.exists)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=RUN_S)
    totals = json.loads(output)
    assert running.returncode == 0
    assert totals["interrupted"]
    assert totals["readings"]["lost"] == 0
    assert "Traceback" not in errors


def test_simulate_checks_health(instance: Instance) -> None:
    file = str(ROOT / "simulators" / "simulate.py")
    line = [sys.executable, file, "--check-health", "--url"]
    healthy = subprocess.run([*line, instance.url], capture_output=True, text=True, timeout=RUN_S, check=False)
    assert (healthy.returncode, "healthy (HTTP 200)" in healthy.stdout) == (0, True)
    instance.down()
    away = subprocess.run([*line, instance.url], capture_output=True, text=True, timeout=RUN_S, check=False)
    assert away.returncode == 1
    assert "python3 -m infra up" in away.stdout


@pytest.mark.parametrize("arguments", [["--keys", "/proc/nowhere/keys"], ["--start", "2999-01-01"]], ids=" ".join)
def test_impossible_wish_is_one_sentence_and_no_traceback(arguments: list[str]) -> None:
    with rude_server([200]) as url:
        line = command("basic_device_simulator", url, Path("/proc/nowhere"), *arguments)
        ended = subprocess.run(line, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1


@contextmanager
def rude_server(script: Sequence[int | None], *, retry_after: str = "") -> Iterator[str]:
    """Serve on loopback, answering each request with the next status of the script, or hanging up for None."""
    answers = iter(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = next(answers)
            if status is None:
                self.close_connection = True
                return
            body = json.dumps({"port": self.client_address[1]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_client_keeps_its_connection_and_reads_status_and_advice() -> None:
    with rude_server([201, 429], retry_after="3") as url:
        transport = HttpTransport(url, connections=1)
        client = DeviceClient(transport)
        first, second = client.heartbeat("k"), client.telemetry("k", [TimedReading(1, {"t": 1})])
        transport.close()
    assert (first.status, second.status) == (201, 429)
    assert first.body["port"] == second.body["port"]
    assert (second.retryable, second.retry_after_s) == (True, 3.0)
    assert second.latency_ms > 0


def test_client_says_no_answer_when_the_connection_is_cut_and_then_goes_on() -> None:
    with rude_server([None, 200]) as url:
        transport = HttpTransport(url, connections=1)
        client = DeviceClient(transport)
        with pytest.raises(NoAnswer):
            client.heartbeat("k")
        assert client.heartbeat("k").status == 200
        transport.close()


def test_client_says_no_answer_when_nobody_listens() -> None:
    with rude_server([]) as url:
        pass
    with pytest.raises(NoAnswer):
        DeviceClient(HttpTransport(url, connections=1)).health()


def test_keys_are_private_and_kept_by_service_and_name(tmp_path: Path) -> None:
    path = tmp_path / "simulators" / "keys.json"
    here, there = KeyFile(path, "http://here/"), KeyFile(path, "http://there")
    assert here.get("lab") is None
    here.put("lab", "one")
    there.put("lab", "two")
    here.put("lab", "three")
    assert (KeyFile(path, "http://here").get("lab"), there.get("lab"), there.get("yard")) == ("three", "two", None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_saved_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: KeyFile(path, "http://here").put(f"d{number}", str(number)), range(100)))
    keys = KeyFile(path, "http://here")
    assert [keys.get(f"d{number}") for number in range(100)] == [str(number) for number in range(100)]
