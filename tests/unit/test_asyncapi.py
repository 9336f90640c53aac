"""The published document of the topics is that of the code."""

from pathlib import Path

from chalicelib import topics
from infra import asyncapi

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"


def test_asyncapi_document_is_what_the_catalogue_says() -> None:
    """Fails when a topic is added or changed: python -m infra.asyncapi > docs/asyncapi.yaml."""
    assert FILE.read_text(encoding="utf-8") == asyncapi.text()


def test_asyncapi_has_every_topic_once_with_its_direction() -> None:
    found = asyncapi.document()
    assert {channel["address"] for channel in found["channels"].values()} == {
        entry.pattern for entry in topics.CATALOGUE
    }
    assert len(found["operations"]) == len(topics.CATALOGUE)
    assert found["operations"]["receive_telemetry"]["action"] == "receive"
    assert found["operations"]["send_commands"]["bindings"]["mqtt"] == {
        "qos": 1,
        "retain": False,
        "bindingVersion": "0.2.0",
    }
