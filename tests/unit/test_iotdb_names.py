"""Names in IoTDB: reversible, never ambiguous, nothing that the server would refuse."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.iotdb_names import SeriesName, device_path, quoted
from chalicelib.model import DeviceRef

NAMES = st.text(st.characters(codec="utf-8"), max_size=20) | st.from_regex(r"[_a-z0-9]{0,12}", fullmatch=True)
TAGS = st.sampled_from(["", "kind", "double", "int64", "boolean", "string"])


@given(NAMES, TAGS)
def test_series_name_comes_back(measurement: str, tag: str) -> None:
    assert SeriesName.decode(SeriesName(measurement, tag).encode()) == (measurement, tag)


@given(NAMES, TAGS)
def test_series_name_is_legal_without_quotes(measurement: str, tag: str) -> None:
    node = SeriesName(measurement, tag).encode()
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", node)
    assert node.lower() not in {"time", "timestamp", "root"}


@given(NAMES, TAGS, NAMES, TAGS)
def test_different_series_have_different_names(one: str, one_tag: str, other: str, other_tag: str) -> None:
    same = (one, one_tag) == (other, other_tag)
    assert (SeriesName(one, one_tag).encode() == SeriesName(other, other_tag).encode()) is same


@pytest.mark.parametrize(
    ("measurement", "node"),
    [("temperature", "temperature"), ("m_1", "m_1"), ("time", "__time"), ("a.b", "__a_2eb"), ("a__b", "__a_5f_5fb")],
)
def test_plain_names_stay_and_others_are_readable(measurement: str, node: str) -> None:
    assert SeriesName(measurement).encode() == node


def test_device_path_of_the_default_tenant_is_plain_and_others_are_apart() -> None:
    assert device_path("root.iotflow", DeviceRef("default", 7)) == "root.iotflow.devices.device_7"
    assert device_path("root.iotflow", DeviceRef("a.b", 7)) == "root.iotflow.tenants.t_a_2eb.device_7"


def test_quoted_leaves_only_root_bare() -> None:
    assert quoted("root.iotflow.devices") == "root.`iotflow`.`devices`"
