"""SIGKILL of a real process at every boundary of a refresh; the next try, or the next run, ends its work."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "group_process.py"
Point = tuple[str, str, int]

ADDRESS = "https://people.oss-cn-hangzhou.aliyuncs.com/"
ALGORITHM = {"source": 4, "algorithm": "a", "inference_job_id": "j"}
WHOLE: dict[str, Any] = {"create": ALGORITHM, "replace": ALGORITHM | {"timeout": 60}, "sync": {"timeout": 60}}
READY = 1

REPLACE: dict[str, Point] = {
    "before the first request": ("before", "list", 1),
    "before what is too much is deleted": ("before", "delete", 1),
    "after that was deleted, before the reply is read": ("after", "delete", 1),
    "before the create is sent": ("before", "create", 1),
    "after the group was made, before the reply is read": ("after", "create", 1),
    "while waiting": ("after", "get", 1),
    "when ready, before the old group is deleted": ("before", "delete", 2),
    "after that was deleted, before the reply is read (2)": ("after", "delete", 2),
}
SYNC: dict[str, Point] = REPLACE | {
    "before the upload": ("before", "store file", 1),
    "after the upload": ("after", "store file", 1),
    "after the last delete, before the file is removed": ("before", "delete file", 1),
    "after the file is removed": ("after", "delete file", 1),
}
CREATE: dict[str, Point] = {
    "before it is looked for": ("before", "list", 1),
    "before the create is sent": ("before", "create", 1),
    "after the group was made, before the reply is read": ("after", "create", 1),
}
# The delete before the create fails, so there are two in the end.
TWO_DELETES: dict[str, Point] = {
    "before the first of two deletes": ("before", "delete", 2),
    "between two deletes": ("before", "delete", 3),
    "after the second of two deletes": ("after", "delete", 3),
}
NEXT = {"the next try": ("r3", 2), "the next run": ("r4", 1)}


class Processes:
    """A process that forks one for each try."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # Only what has no other threads may be forked.
        assert self._read() == {"threads": 1}

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run a try, and kill it where it is to stop; return what it came to, and how it ended."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        said = self._read()
        if "ended" in said:
            return said
        if "stopped" in said:
            subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(said["stopped"])], check=True)
        return said | self._read()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.close()


@pytest.fixture(scope="module")
def matrix() -> Iterator[list[tuple[Any, ...]]]:
    """Rows of the crash matrix, which is printed in the end."""
    rows: list[tuple[Any, ...]] = []
    yield rows
    columns = (
        "work",
        "killed",
        "ended by",
        "groups after the kill",
        "creates in all",
        "deletes",
        "groups at the end",
        "files at the end",
    )
    widths = [max(len(str(row[column])) for row in [columns, *rows]) for column in range(len(columns))]
    for row in [columns, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))  # noqa: T201 - pytest -s


@dataclass
class World:
    """The platform, the folder for files, and processes that work there."""

    emulator: Any
    processes: Processes
    folder: Path
    log: Path
    work: str
    dialect: str = "bearer"

    def job(
        self,
        run_id: str,
        try_number: int,
        *,
        stop: Point | None = None,
        people_of: str | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        if self.work == "sync":
            # Each run has other people, and a try those of its run.
            first = 1000 * int((people_of or run_id)[1:])
            numbers = [f"139{number:08d}" for number in range(first, first + 101)]
            template = f"{ADDRESS}{{key}}"
            arguments = {
                "source": numbers,
                "stage_path": str(self.folder),
                "uri_template": template,
            } | arguments
        connection = json.loads(self.emulator.pai_connection_uri(dialect=self.dialect)) | {"extra": {"max_retries": 0}}
        return {
            "url": self.emulator.url,
            "connection": json.dumps(connection),
            "log": str(self.log),
            "work": self.work,
            "identity": {"run_id": run_id, "try_number": try_number},
            "stop": stop,
            "arguments": {"name": "VIP"} | WHOLE[self.work] | arguments,
        }

    def run(self, run_id: str, try_number: int = 1, **changes: Any) -> dict[str, Any]:
        self.emulator.advance(60)
        return self.processes.run(self.job(run_id, try_number, **changes))

    def succeed(self, run_id: str, try_number: int = 1, **changes: Any) -> dict[str, Any]:
        outcome = self.run(run_id, try_number, **changes)
        assert outcome.get("ended") == 0, outcome
        assert "report" in outcome, outcome
        return dict(outcome["report"])

    @property
    def groups(self) -> dict[str, int]:
        return {group["Id"]: group["Status"] for group in self.emulator.groups()}

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*"))

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        """The statuses of all groups, after each create and delete of the processes."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def make_world(emulator: Any, processes: Processes, tmp_path: Path) -> Callable[[str], World]:
    def make(work: str) -> World:
        folder = tmp_path / "stage"
        emulator.settings(processing_seconds=0, file_roots={ADDRESS: str(folder)})
        return World(emulator, processes, folder, tmp_path / "log", work)

    return make


@pytest.fixture
def crash(make_world: Callable[[str], World], matrix: list[tuple[Any, ...]]) -> Callable[..., None]:
    """Kills a try at a point, and lets another one end the work: ``crash(work, point, name=…, ended_by=…)``."""

    def run(
        work: str,
        point: Point,
        *,
        name: str,
        ended_by: str,
        keep: int,
        is_delete_failing: bool = False,
        people_of: str | None = None,
    ) -> None:
        world = make_world(work)
        emulator = world.emulator
        # One more than is to be kept from now on, so that there is one too many.
        earlier = [world.succeed(f"r{n}", keep_previous=keep + 1)["group_id"] for n in range(2 + keep)]
        assert list(world.groups) == earlier
        assert world.files == []
        emulator.clear_requests()
        world.log.unlink()
        if name == "while waiting":
            emulator.settings(processing_seconds=1000)
        if is_delete_failing:
            emulator.fault("pai.delete", "status", status=500, times=1)

        killed = world.run("r3", keep_previous=keep, stop=point)
        assert killed.get("ended") == -signal.SIGKILL, killed
        left, made = world.groups, len(emulator.requests("pai.create"))
        assert len(left.keys() - set(earlier)) == made
        # Never more than one extra, and never none.
        assert sum(status == READY for status in left.values()) >= 1 + keep
        assert len(left) <= len(earlier) + 1
        emulator.settings(processing_seconds=0)
        emulator.advance(1000)
        run_id, try_number = NEXT[ended_by]
        report = world.succeed(run_id, try_number, keep_previous=keep, people_of=people_of)

        creates, deletes = (len(emulator.requests(f"pai.{call}")) for call in ("create", "delete"))
        final = world.groups
        files = world.files
        shown = (" ".join("ready" if status == READY else "checking" for status in left.values()), creates, deletes)
        ended = f"{ended_by}, same people" if people_of else ended_by
        matrix.append((f"{work}, keep {keep}", name, ended, *shown, f"{len(final)} ready", len(files)))
        assert set(final.values()) == {READY}
        assert list(final)[-1] == report["group_id"]
        assert len(final) == 1 + keep
        assert files == []
        # What is kept was ready before.
        assert set(list(final)[:-1]) <= {*left}
        if people_of:
            assert (creates, report["unchanged"]) == (1, bool(made))
        elif ended_by == "the next try":
            assert (creates, report["adopted"]) == (1, bool(made))
        else:
            assert (creates, report["adopted"]) == (made + 1, False)
        for snapshot in world.snapshots:
            assert snapshot["statuses"].count(READY) >= 1 + keep
            assert len(snapshot["statuses"]) <= len(earlier) + 1

    return run


@pytest.mark.parametrize("ended_by", NEXT)
class TestCrash:
    @pytest.mark.parametrize(
        ("name", "keep"), [*((name, 0) for name in REPLACE), *((name, 1) for name in list(REPLACE)[-4:])]
    )
    def test_of_a_replacement(self, crash: Any, name: str, ended_by: str, keep: int) -> None:
        crash("replace", REPLACE[name], name=name, ended_by=ended_by, keep=keep)

    @pytest.mark.parametrize("name", TWO_DELETES)
    def test_of_a_replacement_with_two_deletes(self, crash: Any, name: str, ended_by: str) -> None:
        crash("replace", TWO_DELETES[name], name=name, ended_by=ended_by, keep=0, is_delete_failing=True)

    @pytest.mark.parametrize("name", SYNC)
    def test_of_a_sync(self, crash: Any, name: str, ended_by: str) -> None:
        crash("sync", SYNC[name], name=name, ended_by=ended_by, keep=0)


@pytest.mark.parametrize("name", SYNC)
def test_crash_of_a_sync_whose_next_run_has_the_same_people(crash: Any, name: str) -> None:
    crash("sync", SYNC[name], name=name, ended_by="the next run", keep=0, people_of="r3")


@pytest.mark.parametrize("number_of_kills", [1, 2])
@pytest.mark.parametrize("name", CREATE)
def test_crash_of_a_create(
    make_world: Callable[[str], World], matrix: list[tuple[Any, ...]], name: str, number_of_kills: int, dialect: str
) -> None:
    """The second try may be under the same number: a worker that is lost need not cost a try."""
    world = make_world("create")
    world.dialect = dialect
    for _ in range(number_of_kills):
        killed = world.run("r1", stop=CREATE[name])
        # What was made by the first try is taken by the second one, which then has no create to be killed at.
        assert killed.get("ended") == -signal.SIGKILL or "report" in killed, killed
    left = len(world.groups)
    group_id = world.processes.run(world.job("r1", number_of_kills + 1))["report"]
    assert list(world.groups) == [group_id]
    creates = len(world.emulator.requests("pai.create"))
    assert creates == 1
    matrix.append((f"create, {dialect}", name, "the next try", " ".join(["ready"] * left), creates, 0, "1 ready", 0))
