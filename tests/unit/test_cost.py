"""Bills are sums of amounts and prices, and follow the fleet."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.commands import run
from infra.cost import bills, prices
from infra.cost.workload import Workload
from infra.failure import Exit

FLEET = Workload(devices=10_000, interval_s=60, batch=10, values=5, kept_days=365)


def dollars(bill: bills.Bill, service: str) -> float:
    return sum(item.dollars for item in bill.items if item.service == service)


@pytest.mark.parametrize(
    ("millions", "expected"),
    [(0, 0.0), (333, 333 * 3.5), (334, 333 * 3.5 + 2.8), (1_000, 333 * 3.5 + 667 * 2.8)],
)
def test_each_part_of_an_amount_has_the_price_of_its_tier(millions: float, expected: float) -> None:
    assert bills.tiered(millions, prices.REST_CALLS) == pytest.approx(expected)


@given(st.floats(0, 50_000), st.floats(0, 50_000))
def test_more_calls_never_cost_less(one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert bills.tiered(few, prices.REST_CALLS) <= bills.tiered(many, prices.REST_CALLS)


def test_a_month_of_a_fleet_is_counted_in_readings_and_requests() -> None:
    assert FLEET.readings_m == pytest.approx(10_000 * 60 * 730 / 1e6)
    assert FLEET.requests_m == pytest.approx(FLEET.readings_m / 10)


def test_batches_of_ten_make_a_tenth_of_the_calls() -> None:
    small = FLEET._replace(devices=1000)
    single, batched = bills.over_rest(small._replace(batch=1), 3), bills.over_rest(small, 3)
    assert dollars(single, "API Gateway") == pytest.approx(dollars(batched, "API Gateway") * 10)


def test_no_function_runs_to_accept_over_iot_core() -> None:
    rest, core = bills.over_rest(FLEET, 3), bills.over_iot_core(FLEET, 3)
    assert {item.service for item in core.items} >= {"IoT Core", "SQS", "Lambda", "EC2"}
    assert not any(item.service == "API Gateway" for item in core.items)
    assert dollars(core, "Lambda") < dollars(rest, "Lambda") / 10


def test_large_messages_count_once_for_each_unit_that_a_service_meters() -> None:
    large = FLEET._replace(batch=1000, values=100)
    sent = next(item for item in bills.over_iot_core(large, 3).items if item.what.endswith("messages of 5 kB"))
    units = -(-large.request_bytes // prices.IOT_MESSAGE_BYTES)
    assert units > 100
    assert sent.dollars == pytest.approx(bills.tiered(large.requests_m * units, prices.IOT_MESSAGES))


@pytest.mark.parametrize(
    ("devices", "machine"), [(10_000, "m7g.large"), (100_000, "m7g.2xlarge"), (10**7, "m7g.4xlarge")]
)
def test_iotdb_gets_machines_for_its_series(devices: int, machine: str) -> None:
    assert bills.machine_for(FLEET._replace(devices=devices), 3).name == machine


def test_the_card_names_every_way_with_its_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "--devices", "100", "--interval", "5"]) == Exit.OK
    shown = capsys.readouterr().out
    for bill in (bills.over_rest, bills.over_iot_core):
        made = bill(FLEET._replace(devices=100, interval_s=5), 3)
        assert f"{made.name}: ${made.dollars:,.2f}" in shown
    assert prices.AS_OF in shown


def test_the_card_for_programs_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "--json"]) == Exit.OK
    for bill in json.loads(capsys.readouterr().out)["bills"]:
        assert sum(item["dollars"] for item in bill["items"]) == pytest.approx(bill["dollars"], abs=0.01)


@pytest.mark.parametrize(
    ("option", "given", "limit"),
    [("--devices", "0", "1 to 10000000"), ("--batch", "1001", "1 to 1000"), ("--interval", "nan", "0.1 to")],
)
def test_a_number_out_of_range_is_refused_with_its_range(
    capsys: pytest.CaptureFixture[str], option: str, given: str, limit: str
) -> None:
    with pytest.raises(SystemExit):
        run(["cost", option, given])
    message = capsys.readouterr().err
    assert option in message
    assert limit in message
