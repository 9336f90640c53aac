"""The catalogue of MQTT topics: what is found in it, and how filters match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import topics
from chalicelib.errors import InvalidInput

LEVEL = st.text("abcXYZ019_.:-", min_size=1, max_size=20)


def test_every_entry_of_the_catalogue_is_found_under_its_own_pattern() -> None:
    for entry in topics.CATALOGUE:
        name = entry.pattern.replace("{", "").replace("}", "")
        found = topics.parse(name)
        assert found is not None, name
        assert found.entry == entry


def test_names_of_the_catalogue_are_unique() -> None:
    assert len({entry.name for entry in topics.CATALOGUE}) == len(topics.CATALOGUE)
    assert len({entry.pattern for entry in topics.CATALOGUE}) == len(topics.CATALOGUE)


@given(LEVEL, LEVEL)
def test_what_is_built_is_taken_apart_again(device_id: str, word: str) -> None:
    built = {
        topics.telemetry(device_id): ("telemetry", {"device_id": device_id}),
        topics.status(device_id): ("status", {"device_id": device_id}),
        topics.status(device_id, word): ("status_word", {"device_id": device_id, "word": word}),
        topics.commands(device_id): ("commands", {"device_id": device_id}),
        topics.commands(device_id, word): ("commands_of_type", {"device_id": device_id, "command_type": word}),
        topics.ack(device_id, word): ("command_ack", {"device_id": device_id, "command_id": word}),
        topics.config(device_id): ("config", {"device_id": device_id}),
    }
    for name, (entry, values) in built.items():
        found = topics.parse(name)
        assert found is not None
        assert (found.entry.name, found.values, found.device_id) == (entry, values, device_id)


@pytest.mark.parametrize(
    "name",
    ["", "/", "iotflow", "iotflow/devices", "iotflow/devices/1", "iotflow/devices//telemetry", "iotflow/devices/#",
     "iotflow/devices/+/config", "iotflow/devices/1/telemetry/", "iotflow/devices/1/telemetry/a/b", "$SYS/broker/load",
     "/iotflow/devices/1/telemetry", "IOTFLOW/devices/1/telemetry", "iotflow/devices/1 2/telemetry",
     "iotflow/devices/" + "1" * 65 + "/telemetry", "iotflow/devices/1/other", "devices/1/telemetry"],
)  # fmt: skip
def test_other_topics_are_not_in_the_catalogue(name: str) -> None:
    assert topics.parse(name) is None


@pytest.mark.parametrize(
    ("topic_filter", "name", "heard"),
    [("a/b", "a/b", True), ("a/b", "a/b/c", False), ("a/+", "a/b", True), ("a/+", "a", False), ("a/+", "a/", True),
     ("a/#", "a", True), ("a/#", "a/b/c", True), ("#", "a/b", True), ("#", "$SYS/x", False), ("+/x", "$SYS/x", False),
     ("$SYS/#", "$SYS/x", True), ("+", "a", True), ("+", "/a", False), ("/+", "/a", True), ("+/+", "/a", True),
     ("a/+/c", "a/b/c", True), ("a/+/c", "a/b/d", False), ("a", "A", False)],
)  # fmt: skip
def test_filters_match_as_the_protocol_says(topic_filter: str, name: str, heard: bool) -> None:
    """The cases of section 4.7 of MQTT 3.1.1."""
    topics.require_filter(topic_filter)
    topics.require_name(name)
    assert topics.matches(topic_filter, name) is heard


@given(st.lists(LEVEL, min_size=1, max_size=6))
def test_a_name_is_heard_by_itself_and_by_everything(levels: list[str]) -> None:
    name = "/".join(levels)
    assert topics.matches(name, name)
    assert topics.matches("#", name)
    assert topics.matches("/".join("+" for _ in levels), name)


@pytest.mark.parametrize("text", ["", "a\x00b", "a\nb", "\ud800", "x" * 65_536, "é" * 32_768])
def test_neither_name_nor_filter_has_such_characters_or_length(text: str) -> None:
    for check in (topics.require_name, topics.require_filter):
        with pytest.raises(InvalidInput) as refused:
            check(text)
        assert refused.value.field == "topic"


@pytest.mark.parametrize("text", ["a+", "+a/b", "a/#/b", "a#", "#/a", "a/b+/c"])
def test_a_wildcard_stands_for_whole_levels(text: str) -> None:
    with pytest.raises(InvalidInput):
        topics.require_filter(text)


@pytest.mark.parametrize("text", ["a/+", "#", "+"])
def test_a_message_is_not_published_under_a_filter(text: str) -> None:
    with pytest.raises(InvalidInput):
        topics.require_name(text)
