"""What `doctor` finds about an external broker."""

import pytest

from infra.doctor import broker
from infra.doctor.finding import Level
from tests.unit.test_provisioning import DictBroker


@pytest.mark.parametrize(
    ("missing", "level", "remedy"),
    [
        ([], Level.OK, ""),
        (["the program mosquitto is not installed: get it"], Level.NOTE, "apt-get install mosquitto"),
        (["the dynamic security plugin is not installed: get it"], Level.NOTE, "apt-get install mosquitto"),
    ],
    ids=["there", "no broker", "no plugin"],
)
def test_missing_broker_is_noted_with_its_package(missing: list[str], level: Level, remedy: str) -> None:
    found = broker.programs(missing)
    assert (found.level, found.remedy) == (level, remedy)
    assert ":" not in found.sentence


def test_broker_of_the_data_directory_that_is_damaged_or_does_not_run_is_told() -> None:
    assert broker.here(runs=True, damaged=False).level is Level.OK
    assert broker.here(runs=False, damaged=False).remedy == "python3 -m infra mosquitto start"
    for runs in (True, False):
        found = broker.here(runs=runs, damaged=True)
        assert (found.level, found.remedy) == (Level.WRONG, "python3 -m infra mosquitto rebuild")


def test_broker_that_cannot_be_told_is_wrong_and_devices_that_wait_are_counted() -> None:
    away = DictBroker()
    away.away = True
    assert [found.level for found in broker.telling(DictBroker(), 0)] == [Level.OK]
    found = list(broker.telling(away, 3))
    assert [each.level for each in found] == [Level.WRONG, Level.WARNING]
    assert found[1].sentence.startswith("3 devices")
