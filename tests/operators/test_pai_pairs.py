"""
Two tries that refresh one PAI group at once.

Each is stopped before each of its requests in turn, while the other goes through; and two processes run at the same
time, one of which may be suspended or killed at any moment. ``AUDIENCES_LONG_TESTS=1`` (``make test-rounds``) runs as
many rounds of two processes, and each scene in every way.
"""

import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.gate import Gate, gate_before
from support.pai_tasks import Groups, Outcome, PaiTry
from support.pai_workers import Worker

from airflow_provider_audiences.emulator import AudiencesEmulator

IS_LONG = bool(os.environ.get("AUDIENCES_LONG_TESTS"))
ROUNDS = 50 if IS_LONG else 12
X, Y, Z = (tuple(f"1390000{start + number:04d}" for number in range(3)) for start in (1000, 2000, 3000))
MANY_Y, MANY_Z = (tuple(f"1380000{start + number:04d}" for number in range(120)) for start in (1000, 2000))
ADDRESS = "https://people.oss-cn-hangzhou.aliyuncs.com/"
GATED = "gated_default"
DIALECTS = ("bearer", "openapi")
CHECK_SECONDS = 30


@dataclass(frozen=True)
class Scene:
    """
    Two tries, and what was there before.

    :param kind: of the operator.
    :param before: numbers of the group that is there; empty if there is none.
    :param first: numbers of the one try.
    :param second: numbers of the other one.
    :param is_one_run: whether they are two tries of one task.
    """

    kind: str
    before: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    is_one_run: bool = False

    def tries(self, *, deferred: bool, arguments: dict[str, Any]) -> tuple[PaiTry, PaiTry]:
        run_ids = ("r1", "r1" if self.is_one_run else "r2")
        first, second = (
            PaiTry(kind=self.kind, run_id=run_id, numbers=numbers, deferred=deferred, arguments=arguments)
            for run_id, numbers in zip(run_ids, (self.first, self.second), strict=True)
        )
        return first, second

    def set_up(self, groups: Groups) -> None:
        """Make the group that is there before."""
        if self.before:
            assert PaiTry(kind=self.kind, run_id="r0", numbers=self.before).run().report
        groups.check_that_one_is_ready()


SCENES = {
    "replace": Scene("replace", X, Y, Z),
    "replace, two tries": Scene("replace", X, Y, Y, is_one_run=True),
    "the first two groups": Scene("replace", (), Y, Z),
    "other numbers": Scene("sync", X, Y, Z),
    "the same numbers": Scene("sync", X, Y, Y),
    "two tries": Scene("sync", X, Y, Y, is_one_run=True),
    "other files": Scene("sync", X, MANY_Y, MANY_Z),
    "the same file": Scene("sync", X, MANY_Y, MANY_Y),
    "nothing to do, and other numbers": Scene("sync", X, X, Y),
    "other numbers, and nothing to do": Scene("sync", X, Y, X),
}
THROUGH, UNSEEN, CHECKED, FINDS = MODES = (
    "goes through",
    "goes through and lists lag behind",
    "is checked meanwhile",
    "finds the first being checked",
)


@dataclass(frozen=True)
class Play:
    """
    One way to play a scene.

    :param mode: what the second try does while the first one stands still.
    :param is_one_second: whether the platform gives all groups the same time.
    """

    scene: str
    mode: str
    dialect: str
    deferred: bool
    is_one_second: bool

    def __str__(self) -> str:
        words = [self.scene, self.mode, self.dialect]
        return "-".join([*words, *["deferred"] * self.deferred, *["one second"] * self.is_one_second])


ALL_PLAYS = [Play(*ways) for ways in itertools.product(SCENES, MODES, DIALECTS, (False, True), (False, True))]
SOME_PLAYS = [
    Play("replace", THROUGH, "openapi", True, True),
    Play("replace", CHECKED, "bearer", False, False),
    Play("replace, two tries", FINDS, "bearer", True, False),
    Play("the first two groups", THROUGH, "bearer", False, True),
    Play("other numbers", FINDS, "openapi", False, True),
    Play("the same numbers", THROUGH, "openapi", False, False),
    Play("two tries", CHECKED, "openapi", True, True),
    Play("nothing to do, and other numbers", CHECKED, "bearer", True, False),
    Play("other numbers", UNSEEN, "bearer", False, False),
    Play("two tries", UNSEEN, "openapi", True, True),
    Play("the same file", THROUGH, "bearer", False, False),
    Play("other files", CHECKED, "openapi", True, False),
    Play("other numbers, and nothing to do", CHECKED, "openapi", False, False),
]


@pytest.fixture
def stage(emulator: AudiencesEmulator, tmp_path: Path) -> Path:
    """The folder for files, which stands for a bucket in OSS."""
    folder = tmp_path / "stage"
    emulator.settings(file_roots={ADDRESS: str(folder)})
    return folder


def arguments_of(scene: Scene, stage: Path) -> dict[str, Any]:
    """Return where the files of a sync go."""
    return {"stage_path": str(stage), "uri_template": f"{ADDRESS}{{key}}"} if scene.kind == "sync" else {}


@pytest.fixture
def connected(
    emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Gate, Callable[[str], dict[str, str]]]]:
    """A gate, and what connects tasks in a dialect, through the gate too; it returns the variables that do so."""
    with gate_before(emulator.url) as gate:

        def connect(dialect: str) -> dict[str, str]:
            connection = json.loads(emulator.pai_connection_uri(dialect=dialect))
            connection["extra"] = {"backoff_seconds": 0, "max_requests_per_second": 99}
            gated = {**connection, "host": connection["host"].replace(emulator.url, gate.url)}
            variables = {"AIRFLOW_CONN_PAI_DEFAULT": connection, f"AIRFLOW_CONN_{GATED.upper()}": gated}
            texts = {name: json.dumps(value) for name, value in variables.items()}
            for name, text in texts.items():
                monkeypatch.setenv(name, text)
            return texts

        yield gate, connect


class TestStandingStill:
    @pytest.mark.parametrize("play", ALL_PLAYS if IS_LONG else SOME_PLAYS, ids=str)
    def test_before_each_request(self, emulator: AudiencesEmulator, connected: Any, stage: Path, play: Play) -> None:
        self.emulator, self.play, self.stage = emulator, play, stage
        self.gate, connect = connected
        connect(play.dialect)
        stops = 0
        # When it has begun to poll, each further request is the same as this one: to list, list, create, get.
        while (play.mode != FINDS or stops < 4) and self.is_stopped_at(stops + 1):
            stops += 1
        # If there is nothing to do, a list is all.
        assert stops >= (1 if SCENES[play.scene].first == X else 4)

    def is_stopped_at(self, stop: int) -> bool:
        """Play the scene; return whether the first try made that many requests."""
        self.emulator.reset()
        self.emulator.settings(processing_seconds=0, file_roots={ADDRESS: str(self.stage)})
        self.emulator.freeze()
        scene, groups = SCENES[self.play.scene], Groups(self.emulator)
        scene.set_up(groups)
        self.pass_time()
        first, second = scene.tries(deferred=self.play.deferred, arguments=arguments_of(scene, self.stage))
        ended: list[Outcome | None] = []

        def before(number: int) -> None:
            groups.check_that_one_is_ready()
            if number == stop:
                self.pass_time()
                self.gate.lags = self.play.mode == UNSEEN
                ended.append(self.meanwhile(second))
                groups.check_that_one_is_ready()
            elif ended and number > stop + 4:
                self.emulator.advance(CHECK_SECONDS + 1)  # it waits for the group that the other one has made

        self.gate.open(before)
        first.conn_id = GATED
        self.emulator.settings(processing_seconds=CHECK_SECONDS if self.play.mode == FINDS else 0)
        outcome = first.run()
        if self.gate.error:
            raise self.gate.error
        if not ended:
            assert outcome.report, outcome  # as nobody came in between
            return False
        [second_outcome] = ended
        if second_outcome is None:
            groups.check_that_one_is_ready()
            groups.check_success(outcome)
            self.emulator.advance(CHECK_SECONDS + 1)
            second_outcome = second.resume()
        groups.check_end((first, second), (outcome, second_outcome), self.pass_time)
        assert not list(self.stage.glob("*"))
        return True

    def meanwhile(self, second: PaiTry) -> Outcome | None:
        """Let the second try do what it does; return how it ended, if it did."""
        if self.play.mode == CHECKED:
            self.emulator.settings(processing_seconds=CHECK_SECONDS)
            second.deferred = True
            outcome = second.begin()
            self.emulator.settings(processing_seconds=0)
            return outcome
        self.emulator.settings(processing_seconds=0)
        if self.play.mode == FINDS and SCENES[self.play.scene].is_one_run:
            self.emulator.advance(CHECK_SECONDS + 1)  # it waits for the same group
        outcome = second.run()
        if self.play.mode == FINDS:
            self.emulator.advance(CHECK_SECONDS + 1)
        return outcome

    def pass_time(self) -> None:
        if not self.play.is_one_second:
            self.emulator.advance(60)


FATES = ("none", "none", "suspended", "killed")


@pytest.fixture(scope="class")
def workers() -> Iterator[list[Worker]]:
    """Two processes, which are replaced when they were killed."""
    both = [Worker(), Worker()]
    yield both
    for worker in both:
        worker.kill()


@pytest.fixture(scope="class")
def counts() -> Iterator[Counter[str]]:
    """How the tries ended, which is printed in the end."""
    counted: Counter[str] = Counter()
    yield counted
    print(dict(counted))  # noqa: T201 - pytest -s


class TestTwoProcesses:
    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_at_once(
        self,
        emulator: AudiencesEmulator,
        connected: Any,
        stage: Path,
        workers: list[Worker],
        counts: Counter[str],
        number: int,
    ) -> None:
        chance = random.Random(number)  # noqa: S311 - no secret
        # All scenes in turn, so that few rounds have them all.
        scene = SCENES[list(SCENES)[number % len(SCENES)]]
        emulator.settings(processing_seconds=chance.choice([0, 0, 0.1, 0.4]))
        environment = connected[1](chance.choice(DIALECTS))
        groups = Groups(emulator)
        scene.set_up(groups)
        tries = scene.tries(deferred=chance.random() < 0.5, arguments=arguments_of(scene, stage))
        start = time.time() + 0.05
        for worker, given in zip(workers, tries, strict=True):
            worker.start(given, environment=environment, at_epoch_seconds=start + chance.choice([0, 0, 0.02, 0.1]))
        fate = chance.choice(FATES)
        time.sleep(0.05 + chance.uniform(0, 0.4))
        if fate == "killed":
            workers[0].kill()
        elif fate == "suspended":
            workers[0].suspend()
        last = workers[1].outcome()
        if fate == "suspended":
            workers[0].go_on()
        outcomes = (workers[0].outcome(), last)
        if fate == "killed":
            workers[0] = Worker()
        counts.update("killed" if end is None else "green" if end.report else "failed" for end in outcomes)
        groups.check_end(tries, outcomes, lambda: None)
        assert not list(stage.glob("*"))
