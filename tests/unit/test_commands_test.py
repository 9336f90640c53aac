"""What `python3 -m infra test` makes of its words."""

import pytest

from infra.commands.test import KINDS, path_of, without_settings
from infra.failure import Failure


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_a_folder_of_tests(kind: str) -> None:
    assert path_of(kind) == f"tests/{kind}"


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Failure, match="no kind of tests units; take unit, contract"):
        path_of("units")


def test_tests_do_not_see_the_settings_of_whoever_runs_them() -> None:
    environment = {"HOME": "/", "PORT": "80", "IOTFLOW_STAGE": "prod", "IOTFLOW_TEST_REQUIRE": "redis"}
    assert without_settings(environment) == {"HOME": "/", "IOTFLOW_TEST_REQUIRE": "redis"}
