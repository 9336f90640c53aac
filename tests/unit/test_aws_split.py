"""What is wrapped of chalice, where no finished template shows it: `chalice deploy`, and failures."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.aws.split import _call_client_method_with_retries, _read_document_from_file
from infra.aws.wrapping import wrap


@pytest.mark.parametrize("name", ["create_event_source_mapping", "update_event_source_mapping"])
def test_deploy_asks_aws_to_heed_partial_batches(name: str) -> None:
    """Chalice itself cannot; without it AWS deletes the messages that failed."""

    def call(**given: Any) -> dict[str, Any]:
        return given

    call.__name__ = name
    given = _call_client_method_with_retries(
        lambda _self, method, kwargs: method(**kwargs), None, call, {"BatchSize": 1000}
    )
    assert given == {"BatchSize": 1000, "FunctionResponseTypes": ["ReportBatchItemFailures"]}


def test_deploy_leaves_other_calls_alone() -> None:
    def delete_function(**given: Any) -> dict[str, Any]:
        return given

    given = _call_client_method_with_retries(
        lambda _self, method, kwargs: method(**kwargs), None, delete_function, {"FunctionName": "x"}
    )
    assert given == {"FunctionName": "x"}


def test_a_policy_is_found_by_the_name_of_its_function(tmp_path: Path) -> None:
    file = tmp_path / "policy-prod.json"
    file.write_text(json.dumps({"keep_up": {"Statement": []}}))
    assert _read_document_from_file(lambda: None, None, f"{file}#keep_up") == {"Statement": []}


def test_a_function_without_a_policy_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy-prod.json"
    file.write_text("{}")
    with pytest.raises(LookupError, match=r"no policy for keep_up; python3 -m infra aws policies"):
        _read_document_from_file(lambda: None, None, f"{file}#keep_up")


def test_a_method_that_chalice_no_longer_has_is_an_error() -> None:
    with pytest.raises(AttributeError, match="gone"):
        wrap(Path, "gone", lambda original, self: original(self))


def test_a_wrapper_gets_the_original() -> None:
    class Owner:
        def double(self, number: int) -> int:
            return number * 2

    wrap(Owner, "double", lambda original, self, number: original(self, number) + 1)
    assert Owner().double(2) == 5
