"""Commands: their order, their life cycle, and that every process sees the same, in memory, SQLite and DynamoDB."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chalicelib.adapters.dynamo_commands import DynamoCommands
from chalicelib.adapters.memory_commands import MemoryCommands
from chalicelib.adapters.sqlite_commands import SqliteCommands
from chalicelib.model import NEXT_STATUSES, RESULT_STATUSES, Command, CommandStatus, DeviceRef
from chalicelib.ports import CommandRepository
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import in_processes

NOW_MS = 1_800_000_000_000
ONE, TWO = DeviceRef("default", 1), DeviceRef("default", 2)
ELSEWHERE = DeviceRef("other", 1)
_numbers = itertools.count()


def a_command(device: DeviceRef = ONE, command_id: str = "", **fields: Any) -> Command:
    """A queued command without expiry, with an id of its own."""
    chosen = {"command_type": "reboot", "payload": {"delay_s": 5}, "created_ms": NOW_MS, "updated_ms": NOW_MS}
    return Command(id=command_id or f"command-{next(_numbers)}", device=device, **{**chosen, **fields})


def opened(adapter: str, folder: Path, tables: Tables) -> CommandRepository:
    if adapter in SEMANTICS:
        return DynamoCommands(tables.new(adapter))
    return MemoryCommands() if adapter == "memory" else SqliteCommands(folder / "commands.db")


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def repository(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Iterator[CommandRepository]:
    made = opened(request.param, tmp_path, tables)
    yield made
    if isinstance(made, SqliteCommands):
        made.database.close()


@pytest.mark.parametrize("payload", [None, True, 0, -1.5, "text ü", [], [1, {"a": None}], {"deep": {"er": [1]}}])
def test_a_command_comes_back_as_it_was_added(repository: CommandRepository, payload: Any) -> None:
    command = a_command(payload=payload, expires_ms=NOW_MS + 1, group="hall")
    repository.add(command)
    assert repository.get(ONE, command.id) == command
    assert repository.get(TWO, command.id) is None
    assert repository.get(ELSEWHERE, command.id) is None


def test_adding_an_id_again_changes_nothing(repository: CommandRepository) -> None:
    repository.add(a_command(command_id="same", payload=1))
    repository.add(a_command(command_id="same", payload=2), a_command(TWO, "same", payload=3))
    assert [command.payload for command in repository.pending([ONE, TWO], now_ms=NOW_MS)] == [1, 3]


def test_queued_are_those_of_the_whole_tenant_that_were_never_sent(repository: CommandRepository) -> None:
    first, second, sent, expired = a_command(), a_command(TWO), a_command(), a_command(expires_ms=NOW_MS)
    repository.add(first, sent, expired, a_command(ELSEWHERE))
    repository.add(second)
    repository.advance(ONE, sent.id, CommandStatus.SENT, now_ms=NOW_MS)
    assert repository.queued("default", now_ms=NOW_MS) == [first, second]
    assert repository.queued("default", now_ms=NOW_MS, limit=1) == [first]
    assert repository.queued("nobody", now_ms=NOW_MS) == []


def test_pending_is_in_the_order_of_adding_and_of_these_devices_only(repository: CommandRepository) -> None:
    """Also when the clock of a second API process is behind."""
    late, early = a_command(created_ms=NOW_MS + 5), a_command(created_ms=NOW_MS)
    repository.add(late)
    repository.add(early, a_command(TWO), a_command(ELSEWHERE))
    assert [command.id for command in repository.pending([ONE], now_ms=NOW_MS)] == [late.id, early.id]
    assert len(repository.pending([ONE, TWO, DeviceRef("default", 9)], now_ms=NOW_MS)) == 3
    assert len(repository.pending([ONE, TWO], now_ms=NOW_MS, limit=2)) == 2
    assert repository.pending([], now_ms=NOW_MS) == []
    assert len(repository.pending([ONE, ONE], now_ms=NOW_MS)) == 2
    assert repository.backlog([ONE, ONE], now_ms=NOW_MS) == {ONE: 2}


def test_pending_ends_at_the_instant_of_expiry(repository: CommandRepository) -> None:
    repository.add(a_command(expires_ms=NOW_MS))
    assert len(repository.pending([ONE], now_ms=NOW_MS - 1)) == 1
    assert repository.pending([ONE], now_ms=NOW_MS) == []


def test_backlog_counts_what_is_still_to_be_sent(repository: CommandRepository) -> None:
    repository.add(a_command(), a_command(expires_ms=NOW_MS), a_command(status=CommandStatus.SENT))
    repository.add(a_command(TWO, status=CommandStatus.DELIVERED), a_command(ELSEWHERE))
    assert repository.backlog([ONE, TWO, DeviceRef("default", 9)], now_ms=NOW_MS) == {ONE: 2}
    assert repository.backlog([ELSEWHERE], now_ms=NOW_MS) == {ELSEWHERE: 1}
    assert repository.backlog([], now_ms=NOW_MS) == {}


@pytest.mark.parametrize("repository", ["memory", "sqlite", "dynamodb"], indirect=True)
@pytest.mark.parametrize("status", list(CommandStatus))
@pytest.mark.parametrize("to", list(CommandStatus))
def test_a_command_goes_where_the_life_cycle_says_and_nowhere_else(
    repository: CommandRepository, status: CommandStatus, to: CommandStatus
) -> None:
    command = a_command(status=status)
    repository.add(command)
    advanced = repository.advance(ONE, command.id, to, now_ms=NOW_MS + 1, result={"code": 7})
    if to not in NEXT_STATUSES[status]:
        assert advanced is None
        assert repository.get(ONE, command.id) == command
    else:
        assert advanced is not None
        assert advanced == repository.get(ONE, command.id)
        assert (advanced.status, advanced.updated_ms, advanced.result) == (to, NOW_MS + 1, {"code": 7})
        assert advanced.attempts == (to is CommandStatus.SENT)


def test_every_sending_is_counted(repository: CommandRepository) -> None:
    command = a_command()
    repository.add(command)
    for attempt in (1, 2, 3):
        sent = repository.advance(ONE, command.id, CommandStatus.SENT, now_ms=NOW_MS)
        assert sent is not None
        assert sent.attempts == attempt


def test_advancing_what_is_not_there_is_none(repository: CommandRepository) -> None:
    repository.add(a_command(TWO, "theirs"))
    for command_id in ("theirs", "unknown", ""):
        assert repository.advance(ONE, command_id, CommandStatus.SENT, now_ms=NOW_MS) is None


def test_pages_go_back_from_the_newest(repository: CommandRepository) -> None:
    added = [a_command(created_ms=NOW_MS - number) for number in range(7)]
    repository.add(*added, a_command(TWO))
    seen: list[str] = []
    while page := repository.page(ONE, before_id=seen[-1] if seen else None, limit=3):
        seen += [command.id for command in page]
        if len(seen) == 3:
            repository.add(a_command())
    assert seen == [command.id for command in added[::-1]]
    assert repository.page(ONE, before_id="unknown", limit=3) == []


def test_expire_marks_what_is_pending_and_over(repository: CommandRepository) -> None:
    over, later, never = a_command(expires_ms=NOW_MS), a_command(expires_ms=NOW_MS + 1), a_command()
    delivered = a_command(expires_ms=NOW_MS, status=CommandStatus.DELIVERED)
    repository.add(over, later, never, delivered)
    assert repository.expire(now_ms=NOW_MS) == 1
    assert repository.expire(now_ms=NOW_MS) == 0
    statuses = {command.id: command.status for command in repository.page(ONE)}
    assert statuses == {
        over.id: CommandStatus.EXPIRED,
        later.id: CommandStatus.QUEUED,
        never.id: CommandStatus.QUEUED,
        delivered.id: CommandStatus.DELIVERED,
    }
    assert repository.counts("default") == {
        CommandStatus.EXPIRED: 1,
        CommandStatus.QUEUED: 2,
        CommandStatus.DELIVERED: 1,
    }
    assert repository.counts("other") == {}


def test_forget_drops_old_history_but_nothing_that_is_pending(repository: CommandRepository) -> None:
    waiting, done, fresh = (
        a_command(),
        a_command(status=CommandStatus.SUCCEEDED),
        a_command(status=CommandStatus.FAILED, updated_ms=NOW_MS + 1),
    )
    repository.add(waiting, done, fresh)
    assert repository.forget(before_ms=NOW_MS + 1) == 1
    assert {command.id for command in repository.page(ONE)} == {waiting.id, fresh.id}


def test_purge_drops_everything_of_removed_devices(repository: CommandRepository) -> None:
    kept = a_command(ELSEWHERE)
    repository.add(a_command(), a_command(TWO), kept)
    repository.purge([ONE, TWO, DeviceRef("default", 9)])
    assert repository.pending([ONE, TWO, ELSEWHERE], now_ms=NOW_MS) == [kept]


def test_revision_grows_with_every_change_and_stays_otherwise(repository: CommandRepository) -> None:
    command = a_command(expires_ms=NOW_MS)
    seen = [repository.revision()]
    for change in (
        lambda: repository.add(command),
        lambda: repository.advance(ONE, command.id, CommandStatus.SENT, now_ms=NOW_MS),
        lambda: repository.expire(now_ms=NOW_MS),
        lambda: repository.purge([ONE]),
    ):
        change()
        seen.append(repository.revision())
        repository.page(ONE)
        assert repository.revision() == seen[-1]
    assert seen == sorted(set(seen))
    assert repository.advance(ONE, command.id, CommandStatus.SENT, now_ms=NOW_MS) is None
    assert repository.revision() == seen[-1]


@pytest.mark.parametrize(
    ("repository", "times"), [("memory", 25), ("sqlite", 25), ("dynamodb", 5)], indirect=["repository"]
)
def test_of_two_results_at_once_one_wins(repository: CommandRepository, times: int) -> None:
    for _ in range(times):
        command = a_command(status=CommandStatus.DELIVERED)
        repository.add(command)

        def answer(to: CommandStatus, command_id: str = command.id) -> Command | None:
            return repository.advance(ONE, command_id, to, now_ms=NOW_MS)

        with ThreadPoolExecutor(4) as pool:
            won = [one for one in pool.map(answer, [CommandStatus.SUCCEEDED, CommandStatus.FAILED] * 2) if one]
        assert [one.status for one in won] == [repository.get(ONE, command.id).status]  # type: ignore[union-attr]


def test_check_returns_when_all_is_well(repository: CommandRepository) -> None:
    repository.check()


def compete(path: str, ids: list[str]) -> int:
    """How many of these commands this process was the one to cancel."""
    commands = SqliteCommands(path)
    won = [commands.advance(ONE, one, CommandStatus.CANCELLED, now_ms=NOW_MS) for one in ids]
    return sum(one is not None for one in won)


def test_processes_share_the_file_and_each_step_has_one_winner(tmp_path: Path) -> None:
    path = tmp_path / "commands.db"
    commands = SqliteCommands(path)
    ids = [f"command-{number}" for number in range(50)]
    commands.add(*(a_command(command_id=one) for one in ids))
    before = commands.revision()
    assert sum(in_processes(2, compete, str(path), ids)) == 50
    assert commands.revision() == before + 50
    commands.database.close()


class LifeCycle(RuleBasedStateMachine):
    """Two repositories do the same, one of them in memory; neither ever goes back, and nothing pending is lost."""

    def __init__(self, other: CommandRepository) -> None:
        super().__init__()
        self.other = other
        self.memory = MemoryCommands()
        self.tenant = f"tenant-{next(_numbers)}"
        self.devices = [DeviceRef(self.tenant, number) for number in (1, 2)]
        self.history: dict[tuple[DeviceRef, str], list[CommandStatus]] = {}
        self.now_ms = NOW_MS

    @initialize()
    def start(self) -> None:
        """The backend is shared by all runs: each has a tenant of its own."""
        assert self.other.counts(self.tenant) == {}

    @rule(device=st.integers(0, 1), name=st.sampled_from("abcd"), ttl_ms=st.none() | st.integers(1, 5))
    def add(self, device: int, name: str, ttl_ms: int | None) -> None:
        ref = self.devices[device]
        expires_ms = None if ttl_ms is None else self.now_ms + ttl_ms
        command = a_command(ref, name, created_ms=self.now_ms, updated_ms=self.now_ms, expires_ms=expires_ms)
        self.other.add(command)
        self.memory.add(command)
        self.history.setdefault((ref, name), [CommandStatus.QUEUED])

    @rule(
        device=st.integers(0, 1),
        name=st.sampled_from("abcd"),
        to=st.sampled_from(CommandStatus),
        result=st.none() | st.integers(),
    )
    def advance(self, device: int, name: str, to: CommandStatus, result: int | None) -> None:
        ref = self.devices[device]
        found = self.other.advance(ref, name, to, now_ms=self.now_ms, result=result)
        assert found == self.memory.advance(ref, name, to, now_ms=self.now_ms, result=result)
        if found is not None:
            assert to in NEXT_STATUSES[self.history[ref, name][-1]]
            self.history[ref, name].append(to)

    @rule(ms=st.integers(1, 4))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def expire(self) -> None:
        self.memory.expire(now_ms=self.now_ms)
        self.other.expire(now_ms=self.now_ms)
        for (ref, name), statuses in self.history.items():
            command = self.other.get(ref, name)
            assert command is not None
            if command.status is CommandStatus.EXPIRED and statuses[-1] is not CommandStatus.EXPIRED:
                statuses.append(CommandStatus.EXPIRED)

    @invariant()
    def both_say_the_same(self) -> None:
        pending = self.other.pending(self.devices, now_ms=self.now_ms)
        assert pending == self.memory.pending(self.devices, now_ms=self.now_ms)
        for ref in self.devices:
            assert self.other.page(ref) == self.memory.page(ref)
        assert self.other.counts(self.tenant) == self.memory.counts(self.tenant)

    @invariant()
    def nothing_follows_a_result(self) -> None:
        for statuses in self.history.values():
            assert not RESULT_STATUSES.intersection(statuses[:-1])


@pytest.mark.parametrize(
    ("repository", "examples", "steps"),
    [("sqlite", 40, 30), ("dynamodb", 4, 25), ("moto", 2, 25)],
    indirect=["repository"],
)
def test_life_cycle_is_the_same_in_every_adapter_whatever_happens(
    repository: CommandRepository, examples: int, steps: int
) -> None:
    run_state_machine_as_test(
        lambda: LifeCycle(repository),  # type: ignore[arg-type]
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
