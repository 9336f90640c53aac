"""How long a process that died waits."""

from hypothesis import given
from hypothesis import strategies as st

from infra.supervisor.backoff import FIRST_S, HEALTHY_S, LONGEST_S, next_delay_s


def test_backoff_doubles_from_a_tenth_of_a_second_to_ten() -> None:
    waits, wait_s = [], 0.0
    for _ in range(9):
        wait_s = next_delay_s(wait_s, lived_s=0.0)
        waits.append(wait_s)
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_backoff_starts_over_after_a_healthy_life() -> None:
    assert next_delay_s(LONGEST_S, lived_s=HEALTHY_S) == FIRST_S
    assert next_delay_s(LONGEST_S, lived_s=HEALTHY_S - 0.1) == LONGEST_S


@given(previous_s=st.floats(0, 1000), lived_s=st.floats(0, 1e6))
def test_backoff_is_always_between_its_bounds(previous_s: float, lived_s: float) -> None:
    assert FIRST_S <= next_delay_s(previous_s, lived_s) <= LONGEST_S
