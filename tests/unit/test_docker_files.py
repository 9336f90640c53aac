"""What the containers of docker-compose.yml are told."""

from infra.docker import files


def test_what_containers_are_told_is_up_to_date() -> None:
    """`python3 -m infra compose --write` makes the files."""
    assert files.stale() == []
