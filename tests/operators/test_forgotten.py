"""An error that leaves an operator takes no member and no secret with it, whatever fails and wherever."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from support.fixtures import Connect, MakeContext
from support.frames import frames_of_ours, kept

from airflow_provider_audiences.decorators.applovin import append_users_task, sync_audience_task
from airflow_provider_audiences.decorators.pai import sync_group_task
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.hooks.applovin import AppLovinHook
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.applovin_changes import AppLovinSendChangesOperator
from airflow_provider_audiences.operators.applovin_suppression import (
    AppLovinAddSuppressionOperator,
    AppLovinRemoveSuppressionOperator,
    AppLovinSyncSuppressionOperator,
)
from airflow_provider_audiences.operators.applovin_sync import (
    AppLovinApplyPlanOperator,
    AppLovinSyncAudienceOperator,
)
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

IDS = [f"5eafbabe-{number:04x}-4bad-8000-00000badcafe" for number in range(7, 47)]
NUMBERS = [f"1867{number:07d}" for number in range(2_600_001, 2_600_031)]
BROKEN_ID, BROKEN_NUMBER = "5eafbabe-0007-4bad-8000-00000badcafe9", "18672600001123456"

FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"kind": "status", "status": 400},
    "forbidden": {"kind": "status", "status": 403},
    "gone": {"kind": "status", "status": 404},
    "busy": {"kind": "status", "status": 429},
    "failed": {"kind": "status", "status": 502},
    "redirected": {"kind": "redirect"},
    "cut off": {"kind": "truncated_json", "cut": "connection"},
    "not sent": {"kind": "drop_before"},
    "lost": {"kind": "drop_after"},
    "a page": {"kind": "html"},
    "too late": {"kind": "slow", "seconds": 0.6},
}

OTHERS = ("append", "remove", "changes", "sync", "replace", "suppression sync", "suppression add", "suppression remove")

RICH = [("update", "refused"), ("create", "refused")]

Run = Callable[..., BaseException]


# What all members of a test have in common, so that none of them is missed.
MARKS = re.compile("5eafbabe|badcafe|18672600", re.IGNORECASE)


def clean(error: BaseException, secret: str, *, with_rich: bool = False) -> None:
    """Look at all that the error keeps."""
    assert frames_of_ours(error)
    for text in kept(error, with_rich=with_rich):
        assert not MARKS.search(text), text[:2_000]
        assert secret not in text, text[:2_000]


@pytest.fixture
def audience_id(emulator: AudiencesEmulator, applovin: Any) -> str:
    return str(applovin.create_audience(name="n", platform="ios", package_name="p").audience_id)


@pytest.fixture
def run(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task_context: MakeContext, emulator: Any
) -> Run:
    """Runs an operator that fails, and looks at what the error keeps."""
    for conn_type in ("applovin", "pai"):
        connect(conn_type, extra={"backoff_seconds": 0, "max_retries": 1, "read_timeout_seconds": 0.3})
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))

    def failing(make: Callable[[], Any], *, with_rich: bool = False) -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
            make().execute(task_context())
        clean(caught.value, emulator.api_key, with_rich=with_rich)
        return caught.value

    return failing


def applovin_operators(audience_id: str) -> dict[str, Callable[..., Any]]:
    given: dict[str, Any] = {"task_id": "t", "audience_id": audience_id, "ttl_seconds": 90_000}
    sizes: dict[str, Any] = {"batch_size": 10, "max_parallel_requests": 3}
    app: dict[str, Any] = {"task_id": "t", "package_name": "com.example"}
    return {
        "suppression sync": lambda **more: AppLovinSyncSuppressionOperator(**app, **sizes, **more),
        "suppression add": lambda **more: AppLovinAddSuppressionOperator(**app, **sizes, **more),
        "suppression remove": lambda **more: AppLovinRemoveSuppressionOperator(**app, **sizes, **more),
        "update": lambda **more: AppLovinUpdateAudienceOperator(**given, **sizes, **more),
        "append": lambda **more: AppLovinAppendUsersOperator(**given, **sizes, **more),
        "remove": lambda **more: AppLovinRemoveUsersOperator(task_id="t", audience_id=audience_id, **more),
        "changes": lambda source, **more: AppLovinSendChangesOperator(**given, **sizes, added=source, **more),
        "sync": lambda **more: AppLovinSyncAudienceOperator(**given, **sizes, initial="append", **more),
        "replace": lambda **more: AppLovinSyncAudienceOperator(**given, initial="replace", mode="replace", **more),
    }


def pai_operators(folder: Path) -> dict[str, Callable[..., Any]]:
    sync: dict[str, Any] = {"task_id": "t", "name": "n", "poke_interval": 0.01}
    root: dict[str, Any] = {"stage_path": str(folder), "uri_template": "https://b.oss-cn-hangzhou.aliyuncs.com/{key}"}
    return {
        "create": lambda source, **more: PaiCreateGroupOperator(task_id="t", name="n", source=0, text=source, **more),
        "refresh": lambda source, **more: PaiReplaceGroupOperator(**sync, source=0, text=source, **more),
        "sync": lambda **more: PaiSyncGroupOperator(**sync, **more),
        "sync by file": lambda **more: PaiSyncGroupOperator(**sync, **root, **more),
    }


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("update", fault) for fault in FAULTS),
        *((name, fault) for name in OTHERS for fault in ("refused", "lost")),
    ],
)
def test_applovin(run: Run, emulator: AudiencesEmulator, audience_id: str, fault: str, name: str) -> None:
    for operation in ("update", "append", "suppression_add", "suppression_delete"):
        emulator.fault(f"applovin.{operation}", times=None, **FAULTS[fault])
    error = run(lambda: applovin_operators(audience_id)[name](source=list(IDS)), with_rich=(name, fault) in RICH)

    assert isinstance(error, AudienceError)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("create", fault) for fault in FAULTS),
        *((name, fault) for name in ("refresh", "sync", "sync by file") for fault in ("refused", "lost")),
    ],
)
def test_pai(run: Run, emulator: AudiencesEmulator, tmp_path: Path, fault: str, name: str) -> None:
    emulator.fault("pai.create", times=None, **FAULTS[fault])
    # Else a group whose reply was lost is found again.
    emulator.fault("pai.list", "status", status=400, times=None, number=2 if name == "create" else 3)
    more = NUMBERS if name != "sync by file" else [f"18672{number:06d}" for number in range(600_001, 600_131)]
    error = run(lambda: pai_operators(tmp_path / "bucket")[name](source=list(more)), with_rich=(name, fault) in RICH)

    assert isinstance(error, AudienceError)


@pytest.mark.usefixtures("late_requests_end_soon")
def test_no_server(run: Run, connect: Connect, audience_id: str, dead_port: int, tmp_path: Path) -> None:
    for conn_type in ("applovin", "pai"):
        connect(conn_type, host=f"http://127.0.0.1:{dead_port}", extra={"backoff_seconds": 0, "max_retries": 0})
    for make in applovin_operators(audience_id).values():
        run(lambda make=make: make(source=list(IDS)))
    for make in pai_operators(tmp_path / "bucket").values():
        run(lambda make=make: make(source=list(NUMBERS)))


def failing_iterator(members: list[str]) -> Iterator[str]:
    for member in members:
        yield member
        last = member
    raise RuntimeError(f"no more after {len(last)} characters")


SOURCES: dict[str, Callable[[list[str], str], dict[str, Any]]] = {
    "an iterator that fails": lambda members, _: {"source": failing_iterator(members)},
    "a text that is none": lambda members, broken: {"source": [*members, broken]},
    "an opt-out that is none": lambda members, broken: {"source": members, "suppress": [*members, broken]},
    "too few": lambda members, _: {"source": members, "min_members": 1_000},
    "a type that is none": lambda members, _: {"source": [*members, 4.5j]},
    "an argument": lambda members, _: {"source": members, "max_malformed_ratio": 5},
}


@pytest.mark.parametrize("source", SOURCES)
def test_sources(run: Run, audience_id: str, tmp_path: Path, source: str) -> None:
    applovin, pai = applovin_operators(audience_id), pai_operators(tmp_path / "bucket")
    for make, members, broken in (
        (applovin["sync"], IDS, BROKEN_ID),
        (applovin["update"], IDS, BROKEN_ID),
        (pai["sync"], NUMBERS, BROKEN_NUMBER),
        (pai["sync by file"], NUMBERS, BROKEN_NUMBER),
    ):
        given = SOURCES[source](members, broken)
        if make is applovin["update"] and not given.keys() <= {"source", "max_malformed_ratio"}:
            continue
        if source in {"a text that is none", "a type that is none"}:
            given["on_malformed"] = "fail"
        run(lambda make=make, given=given: make(**given))


@pytest.mark.parametrize("text", [f"{NUMBERS[0]}\n{BROKEN_NUMBER}", "\n".join(NUMBERS * 7), f"{NUMBERS[0]}\ud83d"])
def test_text_of_a_group(run: Run, tmp_path: Path, text: str) -> None:
    lines = [f"1867{number:07d}" for number in range(2_600_001, 2_600_131)] if len(text) > 1_000 else text
    for name in ("create", "refresh"):
        error = run(lambda name=name: pai_operators(tmp_path)[name](source=lines))
        assert isinstance(error, AudienceError)


def unlucky(ids: list[str], *, more: tuple[str, ...], ds: Any = None) -> list[str]:
    both = [*ids, *more]
    raise ValueError(f"{len(both)} members {ds}")


def lucky(ids: list[str], *, more: tuple[str, ...]) -> list[str]:
    return [*ids, *more]


@pytest.mark.parametrize("function", [unlucky, lucky])
def test_decorators(run: Run, emulator: AudiencesEmulator, audience_id: str, function: Any) -> None:
    emulator.fault("*", times=None, kind="status", status=500)
    decorators: list[tuple[Any, list[str]]] = [
        (sync_audience_task(audience_id=audience_id, ttl_seconds=90_000, initial="append"), IDS),
        (append_users_task(audience_id=audience_id), IDS),
        (sync_group_task(name="n"), NUMBERS),
    ]
    for decorator, members in decorators:
        task = decorator(function)(members[:5], more=tuple(members[5:]))
        run(lambda task=task: task.operator)


def test_context_does_not_keep_a_functions_arguments(
    connect: Connect, audience_id: str, task_context: MakeContext, emulator: AudiencesEmulator
) -> None:
    task = append_users_task(audience_id=audience_id)(lucky)(ids=IDS[:2], more=("{{ more }}",))
    context = {**task_context(), "more": IDS[2]}
    cast("Any", task).operator.execute(context)

    assert context["more"] == IDS[2]
    assert "ids" not in context
    assert emulator.members(audience_id) == sorted(IDS[:2])


def test_a_plan_that_is_applied(
    run: Run, emulator: AudiencesEmulator, audience_id: str, task_context: MakeContext
) -> None:
    plan = applovin_operators(audience_id)["sync"](source=list(IDS), plan_only=True).execute(task_context())
    emulator.fault("applovin.append", times=None, kind="status", status=500)
    error = run(
        lambda: AppLovinApplyPlanOperator(task_id="t", audience_id=audience_id, plan_id=plan["plan_id"], batch_size=7)
    )
    assert isinstance(error, AudienceError)


class OutOfTime(BaseException):
    """As a task's timeout: no Exception, and raised by a signal."""


@pytest.mark.parametrize("name", ["append", "sync", "create"])
def test_a_timeout_of_the_task(
    run: Run, connect: Connect, emulator: AudiencesEmulator, audience_id: str, tmp_path: Path, name: str
) -> None:
    for conn_type in ("applovin", "pai"):
        connect(conn_type, extra={"backoff_seconds": 0, "read_timeout_seconds": 20})
    emulator.latency("*", 2)

    def end(_number: int, _frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.6)
    makers = {**pai_operators(tmp_path), **applovin_operators(audience_id)}
    try:
        more = {} if name == "create" else {"max_parallel_requests": 1} if name == "one" else {}
        error = run(lambda: makers[name](source=list(NUMBERS if name == "create" else IDS), **more))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        emulator.latency("*", 0)
    assert isinstance(error, OutOfTime)


@pytest.mark.parametrize("hook_class", [AppLovinHook, PaiHook])
def test_hooks(connect: Connect, hook_class: type, emulator: AudiencesEmulator) -> None:
    for changes in (
        {"extra": {"max_retries": "many", "api_key": "k-in-the-extra"}},
        {"host": "http://192.0.2.7"},
        {"extra": '{"read_timeout_seconds": "k-in-the-extra"}'},
    ):
        connect(hook_class.conn_type, **changes)  # type: ignore[attr-defined]
        with pytest.raises(AudienceError) as caught:
            hook_class().get_conn()
        clean(caught.value, emulator.api_key)
        assert not any("password" in text and emulator.api_key in text for text in kept(caught.value))
