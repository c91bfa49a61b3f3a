"""SIGKILL of a real process at every boundary; another one ends its work, and repeats nothing that was written down."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import MakeIds
from support.forks import Forks
from support.synced import AudienceOverHttp

Point = tuple[str, str, str, int]

# The plan has two requests that add and two that remove, of two members each. A manifest is made when the sync takes
# over, when the plan is begun, after each request, and in the end.
MIRROR: dict[str, Point] = {
    "before the plan is stored": ("before", "store", "additions", 1),
    "half of the plan is stored": ("after", "store", "removals", 1),
    "the plan is stored, and not begun": ("after", "write", "plan-", 1),
    "the plan is begun": ("after", "create", "head-", 2),
    "before the first request": ("before", "post", "append", 1),
    "after the first reply, before it is written down": ("after", "post", "append", 1),
    "the first request is written down": ("after", "create", "head-", 3),
    "before the second request": ("before", "post", "append", 2),
    "after the second reply, before it is written down": ("after", "post", "append", 2),
    "between additions and removals": ("before", "post", "remove", 1),
    "after the first removal's reply": ("after", "post", "remove", 1),
    "before the second removal": ("before", "post", "remove", 2),
    "after the last reply, before it is written down": ("after", "post", "remove", 2),
    "everything is written down": ("after", "create", "head-", 6),
    "in the middle of the new ledger": ("after", "fold", "", 3),
    "the new ledger is whole, and has no name": ("after", "content", "ledger-", 1),
    "the new ledger is stored, before the final commit": ("before", "create", "head-", 7),
    "after the final commit": ("after", "create", "head-", 7),
    "in the middle of the cleanup": ("after", "delete", "plan-", 1),
}
CHANGED = [
    "the plan is begun",
    "after the first reply, before it is written down",
    "before the second request",
    "after the first removal's reply",
    "in the middle of the new ledger",
    "the new ledger is stored, before the final commit",
    "in the middle of the cleanup",
]
# One update and two appends.
REPLACE: dict[str, Point] = {
    "before the update": ("before", "post", "update", 1),
    "after the update's reply, before it is written down": ("after", "post", "update", 1),
    "the update is written down": ("after", "create", "head-", 3),
    "after an append's reply, before it is written down": ("after", "post", "append", 1),
    "before the final commit": ("before", "create", "head-", 6),
}
APPLY: dict[str, Point] = {
    name: MIRROR[name]
    for name in (
        "the plan is begun",
        "after the first reply, before it is written down",
        "between additions and removals",
        "in the middle of the new ledger",
        "the new ledger is stored, before the final commit",
        "after the final commit",
    )
}


@dataclass
class Outcome:
    """What two processes have done."""

    written: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    second: list[list[str]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def resent(self) -> list[str]:
        """Operations with members that both processes sent, as ``append:…01``."""
        return sorted({*self.written, *self.in_flight} & {item for post in self.second for item in post})


@pytest.fixture(scope="module")
def matrix() -> Iterator[list[tuple[Any, ...]]]:
    """Rows of the crash matrix, which is printed in the end."""
    rows: list[tuple[Any, ...]] = []
    yield rows
    columns = ("work", "killed", "written down", "requests of the second run", "sent by both", "equal")
    widths = [max(len(str(row[column])) for row in [columns, *rows]) for column in range(len(columns))]
    for row in [columns, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))  # noqa: T201 - pytest -s


@pytest.fixture
def crash(over_http: AudienceOverHttp, processes: Forks, tmp_path: Path, matrix: Any) -> Callable[..., Outcome]:
    """Kills a process at a point, and lets another one do the work: ``crash(point, first=…, second=…)``."""

    def job(log: str, **changes: Any) -> dict[str, Any]:
        job: dict[str, Any] = {
            "url": over_http.emulator.url,
            "key": over_http.emulator.api_key,
            "audience_id": over_http.audience_id,
            "path": str(over_http.path),
            "log": str(tmp_path / log),
            "work": "run",
            "stop": None,
            "settings": {},
        }
        return job | changes

    def run(point: Point, *, name: str, first: dict[str, Any], second: dict[str, Any], expected: Any) -> Outcome:
        parallel = first.pop("parallel", 1)
        process = processes.begin(job("first.log", stop=point, opened={"try_number": 1, "parallel": parallel}, **first))
        assert process.stdout
        said = process.stdout.readline()
        assert said == "stopped\n", said + process.communicate(timeout=120)[1]
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL

        process = processes.begin(job("second.log", opened={"try_number": 2, "parallel": parallel}, **second))
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        outcome = Outcome(report=json.loads(said))
        sent: list[Any] = []
        for kind, operation, *ids in map(str.split, lines(tmp_path / "first.log")):
            named = [f"{operation}:{item[-2:]}" for item in ids]
            (outcome.written if kind == "written" else sent).extend(named)
        outcome.in_flight = [item for item in sent if item not in outcome.written]
        for kind, operation, *ids in map(str.split, lines(tmp_path / "second.log")):
            if kind == "sent":
                outcome.second.append([f"{operation}:{item[-2:]}" for item in ids])
        is_equal = over_http.members == sorted(expected)
        matrix.append(
            (
                first["work"] if "work" in first else first.get("settings", {}).get("mode", "mirror"),
                name,
                len(outcome.written) // 2,
                " ".join(post[0].partition(":")[0] for post in outcome.second) or "none",
                " ".join(outcome.resent) or "none",
                is_equal,
            )
        )
        assert is_equal
        return outcome

    return run


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def check(outcome: Outcome) -> None:
    """Nothing that was written down went out again, and everything else at most once more."""
    again = [item for post in outcome.second for item in post]
    assert not set(outcome.written) & set(again)
    assert len(again) == len(set(again))
    assert set(outcome.resent) <= set(outcome.in_flight)
    assert len(outcome.in_flight) <= 2


class TestMirror:
    @pytest.mark.parametrize("name", MIRROR)
    def test_the_same_source(self, over_http: AudienceOverHttp, make_ids: MakeIds, crash: Any, name: str) -> None:
        over_http.run(make_ids(8))
        job = {"source": make_ids(8, start=5)}
        outcome = crash(MIRROR[name], name=name, first=job, second=job, expected=job["source"])

        check(outcome)
        batches = len(outcome.written) // 2
        is_over = name in {"after the final commit", "in the middle of the cleanup"}
        assert len(outcome.second) == 4 - batches
        assert outcome.report["batches_skipped_by_resume"] == (0 if is_over else batches)
        # The state is tidy again, and there is nothing more to do.
        files = {file.split("-")[0] for file in over_http.folder.names()}
        assert files == {"head", "head.json", "ledger"} or is_over
        over_http.clear()
        over_http.run(job["source"])
        assert over_http.wire.posts == []

    @pytest.mark.parametrize("name", CHANGED)
    def test_another_source(self, over_http: AudienceOverHttp, make_ids: MakeIds, crash: Any, name: str) -> None:
        over_http.run(make_ids(8))
        first, second = {"source": make_ids(8, start=5)}, {"source": [*make_ids(2), *make_ids(4, start=8)]}
        outcome = crash(
            MIRROR[name], name=f"{name}; then another source", first=first, second=second, expected=second["source"]
        )

        sent = [item for post in outcome.second for item in post]
        assert len(sent) == len(set(sent))
        assert not {item for item in outcome.written if item.startswith("append")} & set(sent)

    def test_several_requests_in_flight(self, make_ids: MakeIds, crash: Any) -> None:
        job = {"source": make_ids(12), "parallel": 3}
        point = ("after", "post", "append", 2)
        outcome = crash(
            point, name="three at a time", first=dict(job), second={"source": job["source"]}, expected=job["source"]
        )

        again = [item for post in outcome.second for item in post]
        assert not set(outcome.written) & set(again)
        # Another thread may have been killed between writing down and saying so.
        assert 8 - len(outcome.written) <= len(again) == len(set(again)) <= 12 - len(outcome.written)
        assert outcome.resent


class TestReplace:
    @pytest.mark.parametrize("name", REPLACE)
    @pytest.mark.parametrize("is_first", [True, False], ids=["initial", "mode"])
    def test_it_goes_on(
        self, over_http: AudienceOverHttp, make_ids: MakeIds, crash: Any, name: str, is_first: bool
    ) -> None:
        ids = make_ids(6)
        if not is_first:
            over_http.run(make_ids(4, start=5))
        over_http.post_by_others("append", make_ids(2, start=50))
        job = {"source": ids, "settings": {"initial": "replace"} if is_first else {"mode": "replace"}}
        shown = f"{name} ({'initial' if is_first else 'mode'})"
        outcome = crash(REPLACE[name], name=shown, first=job, second=job, expected=ids)

        again = {item.partition(":")[2] for post in outcome.second for item in post}
        assert not again & {item.partition(":")[2] for item in outcome.written}
        assert len(outcome.second) == 3 - len(outcome.written) // 2
        # The update goes out again only if it was not written down.
        updates = sum(post[0].startswith("update") for post in outcome.second)
        assert updates == (not outcome.written)


class TestApply:
    @pytest.mark.parametrize("name", APPLY)
    def test_the_next_try_goes_on(self, over_http: AudienceOverHttp, make_ids: MakeIds, crash: Any, name: str) -> None:
        over_http.run(make_ids(8))
        wanted = make_ids(8, start=5)
        plan_id = over_http.run(wanted, plan_only=True).plan_id
        job = {"work": "apply", "plan_id": plan_id}
        outcome = crash(APPLY[name], name=name, first=job, second=job, expected=wanted)

        check(outcome)
        assert len(outcome.second) == 4 - len(outcome.written) // 2
        assert outcome.report["batches_skipped_by_resume"] == len(outcome.written) // 2
