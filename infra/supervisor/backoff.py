"""How long a process that died waits before it is started again."""

FIRST_S = 0.1
LONGEST_S = 10.0
HEALTHY_S = 30.0
"""A process that ran this long starts over with the shortest wait."""


def next_delay_s(previous_s: float, lived_s: float) -> float:
    """The wait before the next start, in seconds.

    Args:
        previous_s: The wait before the start that has just ended; 0.0 for the first one.
        lived_s: How long the process ran.
    """
    if lived_s >= HEALTHY_S:
        return FIRST_S
    return min(max(previous_s * 2, FIRST_S), LONGEST_S)
