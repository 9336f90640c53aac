"""Every status of the reference has a class: what to do is decided by its code, and of 507 by its text."""

import pytest
from iotdb.thrift.common.ttypes import TSStatus

from chalicelib.adapters.iotdb_status import Meaning, Refusal, refusal

READ_ONLY = "Fail to do non-query operations because system is read-only."
TABLE = [
    (301, "[EXECUTE_STATEMENT_ERROR(301)] Path does not exist.", Meaning.NEVER),
    (303, "The length of name or password must be greater than or equal to 4", Meaning.NEVER),
    (305, "java.lang.ArrayStoreException: arraycopy: type mismatch", Meaning.RETRY),
    (306, "query process exception", Meaning.RETRY),
    (501, "root.c02 has already been created as database", Meaning.NEVER),
    (502, "metadata error", Meaning.NEVER),
    (503, "Path [root.iotflow.devices.device_1.m] already exist", Meaning.NEVER),
    (507, "data type of root.d.a is not consistent, registered type DOUBLE, inserting type STRING", Meaning.NEVER),
    (507, "TSStatus(code:506, message:Path [root.d.a] already exist)", Meaning.NEVER),
    (507, "TSStatus(code:507, message:time is an illegal name.)", Meaning.NEVER),
    (507, f"TSStatus(code:600, message:{READ_ONLY})", Meaning.RETRY),
    (507, "TSStatus(code:606, message:write is rejected)", Meaning.RETRY),
    (508, "Path [root.d] does not exist", Meaning.NEVER),
    (509, "[ILLEGAL_PATH(509)] insertTablets failed. a-b is not a legal path", Meaning.NEVER),
    (600, READ_ONLY, Meaning.RETRY),
    *((code, "the server is busy", Meaning.RETRY) for code in (601, 602, 603, 604, 605, 606)),
    (607, "Insertion time [2026] is less than ttl time bound [2027]", Meaning.EXPIRED),
    (609, "Timeseries under this device is not aligned", Meaning.NEVER),
    (610, "disk space is insufficient", Meaning.RETRY),
    (611, "disk full", Meaning.RETRY),
    (612, "The number of TTL rules has reached the limit (1000).", Meaning.NEVER),
    (700, "parse error", Meaning.NEVER),
    (701, "Current system timestamp precision is ms, please check whether the timestamp is correct.", Meaning.NEVER),
    (709, "not enough memory", Meaning.RETRY),
    (711, "timed out in the queue", Meaning.RETRY),
    (712, "Current query is time out", Meaning.RETRY),
    (713, "no leader", Meaning.RETRY),
    (719, "There is not enough memory to execute current fragment instance", Meaning.RETRY),
    (801, "Authentication failed.", Meaning.CONFIGURATION),
    (802, "not logged in", Meaning.CONFIGURATION),
    (803, "No permissions for this operation, please add privilege WRITE_DATA", Meaning.CONFIGURATION),
    *((code, "consensus", Meaning.RETRY) for code in (904, 905, 906, 907, 1008)),
    (1100, "Auto create or verify schema error", Meaning.NEVER),
]


@pytest.mark.parametrize(("code", "message", "meaning"), TABLE)
def test_status_of_the_reference_means_what_the_reference_says(code: int, message: str, meaning: Meaning) -> None:
    found = refusal(TSStatus(code=code, message=message))
    assert isinstance(found, Refusal)
    assert (found.code, found.message, found.meaning) == (code, message, meaning)


def test_success_and_a_hint_to_another_node_are_no_refusals() -> None:
    assert [refusal(TSStatus(code=code)) for code in (200, 400)] == [None, None]


def test_of_several_the_one_that_is_not_merely_expired_counts() -> None:
    expired, wrong, good = TSStatus(code=607, message="old"), TSStatus(code=509, message="x"), TSStatus(code=200)

    def of(*statuses: TSStatus) -> Refusal | None:
        return refusal(TSStatus(code=302, subStatus=list(statuses)))

    found = of(expired, good, wrong)
    assert found is not None
    assert found.code == 509
    assert of(good, good) is None
    assert (of(good, expired) or Refusal(0, "")).meaning is Meaning.EXPIRED
