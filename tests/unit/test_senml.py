"""SenML: the examples of RFC 8428 and the rules of its section 4."""

import json

import pytest

from chalicelib.errors import InvalidInput
from chalicelib.model import Value
from tests.unit.payloads import NOW_MS, found, send

URN = "urn:dev:ow:10e2073a01080063"
SHORT_URN = "urn:dev:ow:10e2073a0108006:"


def records(pack: object) -> list[tuple[int, dict[str, Value]]]:
    return found(pack, content_type="application/senml+json")


def absolute(pack: object) -> dict[int, dict[str, Value]]:
    """By epoch milliseconds."""
    return {offset_ms + NOW_MS: values for offset_ms, values in records(pack)}


def test_single_data_point_of_section_5_1_1_is_measured_now() -> None:
    assert records([{"n": URN, "u": "Cel", "v": 23.1}]) == [(0, {URN: 23.1})]


def test_two_data_points_of_section_5_1_2_are_one_reading() -> None:
    pack = [{"bn": f"{URN}:", "n": "voltage", "u": "V", "v": 120.1}, {"n": "current", "u": "A", "v": 1.2}]
    assert records(pack) == [(0, {f"{URN}:voltage": 120.1, f"{URN}:current": 1.2})]


def test_times_of_section_5_1_2_count_from_the_base_time() -> None:
    pack = [
        {"bn": SHORT_URN, "bt": 1.276020076001e09, "bu": "A", "bver": 5, "n": "voltage", "u": "V", "v": 120.1},
        *({"n": "current", "t": t, "v": v} for t, v in ((-5, 1.2), (-4, 1.3), (-3, 1.4), (-2, 1.5), (-1, 1.6))),
        {"n": "current", "v": 1.7},
    ]
    current = f"{SHORT_URN}current"
    assert absolute(pack) == {
        1_276_020_076_001: {f"{SHORT_URN}voltage": 120.1, current: 1.7},
        1_276_020_071_001: {current: 1.2},
        1_276_020_072_001: {current: 1.3},
        1_276_020_073_001: {current: 1.4},
        1_276_020_074_001: {current: 1.5},
        1_276_020_075_001: {current: 1.6},
    }


def test_one_name_with_several_units_of_section_5_1_3_is_several_measurements() -> None:
    pack = [
        {"bn": URN, "bt": 1.320067464e09, "bu": "%RH", "v": 20},
        {"u": "lon", "v": 24.30621},
        {"u": "lat", "v": 60.07965},
        {"t": 60, "v": 20.3},
        {"u": "lon", "t": 60, "v": 24.30622},
        {"u": "%EL", "t": 150, "v": 98},
    ]
    assert absolute(pack) == {
        1_320_067_464_000: {f"{URN}.%RH": 20, f"{URN}.lon": 24.30621, f"{URN}.lat": 60.07965},
        1_320_067_524_000: {f"{URN}.%RH": 20.3, f"{URN}.lon": 24.30622},
        1_320_067_614_000: {f"{URN}.%EL": 98},
    }


def test_data_types_of_section_5_1_5_are_kept() -> None:
    pack = [
        {"bn": f"{URN}:", "n": "temp", "u": "Cel", "v": 23.1},
        {"n": "label", "vs": "Machine Room"},
        {"n": "open", "vb": False},
        {"n": "nfv-reader", "vd": "aGkgCg"},
    ]
    expected = {"temp": 23.1, "label": "Machine Room", "open": False, "nfv-reader": "aGkgCg"}
    assert records(pack) == [(0, {f"{URN}:{name}": value for name, value in expected.items()})]


def test_resources_of_section_5_1_6_do_not_collide() -> None:
    pack = [
        {"bn": "2001:db8::2/", "bt": 1.320078429e09, "n": "temperature", "u": "Cel", "v": 25.2},
        {"n": "humidity", "u": "%RH", "v": 30},
        {"bn": "2001:db8::1/", "n": "temperature", "u": "Cel", "v": 12.3},
        {"n": "humidity", "u": "%RH", "v": 67},
    ]
    assert absolute(pack) == {
        1_320_078_429_000: {
            "2001:db8::2/temperature": 25.2,
            "2001:db8::2/humidity": 30,
            "2001:db8::1/temperature": 12.3,
            "2001:db8::1/humidity": 67,
        }
    }


def test_base_record_alone_of_section_5_1_7_is_no_measurement() -> None:
    pack = [{"bn": f"{URN}:"}, {"n": "temp", "u": "Cel", "v": 23.1}, {"n": "heat", "u": "/", "v": 1}]
    assert records(pack) == [(0, {f"{URN}:temp": 23.1, f"{URN}:heat": 1})]


def test_cbor_dump_of_section_6_is_the_same_pack() -> None:
    dump = (
        "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b0010622361412005"
        "0067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333"
        "a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666"
        "a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999a"
        "a3006763757272656e74060002fb3ffb333333333333"
    )
    pack = [
        {"bn": SHORT_URN, "bt": 1276020076.001, "bu": "A", "bver": 5, "n": "voltage", "u": "V", "v": 120.1},
        *(
            {"n": "current", "t": t, "v": v}
            for t, v in ((-5, 1.2), (-4, 1.3), (-3, 1.4), (-2, 1.5), (-1, 1.6), (0, 1.7))
        ),
    ]
    for content_type in ("application/senml+cbor", "application/cbor"):
        assert found(bytes.fromhex(dump), content_type=content_type) == records(pack)


def test_base_values_are_added_and_replaced() -> None:
    pack = [
        {"n": "a", "bv": 100, "v": 2},
        {"n": "b", "v": 0.5},
        {"n": "c", "vs": "text"},
        {"n": "d"},
        {"n": "e", "bv": -1, "v": 2},
    ]
    assert records(pack) == [(0, {"a": 102, "b": 100.5, "c": "text", "d": 100, "e": 1})]


def test_sums_are_measurements_of_their_own() -> None:
    pack = [{"n": "power", "v": 3, "s": 10}, {"n": "energy", "s": 1.5}, {"n": "water", "bs": 100, "v": 1, "s": 5}]
    assert records(pack) == [
        (0, {"power": 3, "power.sum": 10, "energy.sum": 1.5, "water": 1, "water.sum": 105}),
    ]


def test_small_times_are_relative_to_now() -> None:
    pack = [{"n": "a", "t": -60, "v": 1}, {"n": "a", "t": 0.1, "v": 2}, {"n": "a", "v": 3}]
    assert records(pack) == [(-60_000, {"a": 1}), (100, {"a": 2}), (0, {"a": 3})]


def test_null_is_nothing_measured() -> None:
    assert records([{"n": "a", "v": None}, {"n": "b", "vs": None}, {"n": "c", "v": 1}]) == [(0, {"c": 1})]


def test_unknown_fields_are_ignored() -> None:
    assert records([{"n": "a", "v": 1, "color": "red", "ut": 60}]) == [(0, {"a": 1})]


@pytest.mark.parametrize(
    "pack",
    [
        [{"bn": "dev1/", "n": "t", "v": 1}],
        [{"n": "t", "v": 1}, {"n": "label", "vs": "x"}],
        [{"bn": "x"}, {"n": "t", "vb": True}],
    ],
)
def test_pack_is_recognised_without_its_content_type(pack: object) -> None:
    assert found(pack) == records(pack)


def test_array_of_flat_readings_is_no_pack() -> None:
    assert found([{"n": 5, "v": 230}]) == [(0, {"n": 5, "v": 230})]
    assert found([{"n": "text"}]) == [(0, {"n": "text"})]


@pytest.mark.parametrize(
    ("pack", "field"),
    [
        ({"n": "a", "v": 1}, None),
        ([5], "[0]"),
        ([{"n": "a", "v": 1}, "b"], "[1]"),
        ([{"n": "a", "v": 1, "vs": "x"}], "[0].vs"),
        ([{"n": "a"}], "[0].v"),
        ([{"n": "a", "u": "Cel"}], "[0].v"),
        ([{"n": "a", "v": "1"}], "[0].v"),
        ([{"n": "a", "v": True}], "[0].v"),
        ([{"n": "a", "vb": 1}], "[0].vb"),
        ([{"n": 1, "v": 1}], "[0].n"),
        ([{"n": "a", "v": 1, "t": "now"}], "[0].t"),
        ([{"n": "a", "v": 1, "t": None}], "[0].t"),
        ([{"n": "a", "v": 1, "t": 1.7e12}], "[0].t"),
        ([{"n": "a", "v": 1, "bt": 1e308, "t": 1e308}], "[0].t"),
        ([{"n": "a", "v": 1}, {"n": "a", "v": 2}], "a"),
        ([{"n": "a", "v": 1, "s": 2}, {"n": "a.sum", "v": 2}], "a.sum"),
        ([{"n": "a", "v": 1, "mode_": 1}], "[0].mode_"),
        ([{"n": "a", "v": 1, "bver": 11}], "[0].bver"),
        ([{"n": "a", "v": 1, "bver": 0}], "[0].bver"),
        ([{"v": 1}], "[0].n"),
        ([{"n": "_a", "v": 1}], "[0].n"),
        ([{"n": "a b", "v": 1}], "[0].n"),
        ([{"n": "a" * 65, "v": 1}], "a" * 65),
        ([{"n": "a", "v": 2**63}], "[0].v"),
        ([{"n": "a", "bv": 2**63 - 1, "v": 1}], "a"),
        ([{"n": "a", "bv": 1e308, "v": 1e308}], "a"),
        ([], "data"),
        ([{"bn": "a"}], "data"),
    ],
)
def test_pack_against_the_rules_is_refused_and_its_place_named(pack: object, field: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(pack, content_type="application/senml+json")
    assert caught.value.field == field


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400])
@pytest.mark.parametrize("label", ["v", "bv", "t", "bt", "s", "bs", "ut"])
def test_number_out_of_range_is_refused_wherever_it_stands(label: str, number: str) -> None:
    pack = json.dumps([{"n": "a", "v": 1.5, label: 0}]).replace(f'"{label}": 0', f'"{label}": {number}')
    with pytest.raises(InvalidInput) as caught:
        send(pack.encode(), content_type="application/senml+json")
    assert caught.value.field == f"[0].{label}"
