"""The operators of suppression lists, against the emulator: what arrives, what is refused, what is remembered."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences.common.state import holder_of, state_store
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceBusyError,
    AuthenticationError,
    ConnectionFailedError,
    GuardError,
    InvalidInputError,
    LedgerLostError,
    PlanOutdatedError,
)
from airflow_provider_audiences.operators.applovin_suppression import (
    AppLovinAddSuppressionOperator,
    AppLovinApplySuppressionPlanOperator,
    AppLovinRemoveSuppressionOperator,
    AppLovinSyncSuppressionOperator,
)
from airflow_provider_audiences.sync.state.lease import leased

APP = "com.example.game"
OPERATORS: list[type[Any]] = [
    AppLovinSyncSuppressionOperator,
    AppLovinApplySuppressionPlanOperator,
    AppLovinAddSuppressionOperator,
    AppLovinRemoveSuppressionOperator,
]
ADDED, DELETED = "applovin.suppression_add", "applovin.suppression_delete"

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def state_path(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that this test's syncs keep their state in; all of these tests talk to the emulator."""
    connect("applovin", extra={"backoff_seconds": 0, "max_retries": 1})
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(path))
    return path


@pytest.fixture
def run(task_context: MakeContext) -> Run:
    """Runs an operator: ``run(operator_class, context=…, **arguments)``; the app is always the same one."""

    def execute(operator_class: type[Any], *, context: Any = None, **arguments: Any) -> dict[str, Any]:
        operator = operator_class(task_id="t", **{"package_name": APP} | arguments)
        report: dict[str, Any] = operator.execute(context or task_context())
        return report

    return execute


@pytest.fixture
def ids(make_ids: MakeIds) -> list[str]:
    return make_ids(100)


class TestSync:
    def test_only_what_differs_is_sent(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        first = run(AppLovinSyncSuppressionOperator, source=[*ids[:80], "junk", ids[0].upper()], batch_size=30)
        assert (first["added"], first["removed"], first["batches"]) == (80, 0, 3)
        assert (first["malformed"], first["duplicates"]) == (1, 1)
        assert emulator.suppressed(APP) == ids[:80]

        second = run(AppLovinSyncSuppressionOperator, source=ids[10:])
        assert (second["added"], second["removed"], second["unchanged"]) == (20, 10, 70)
        assert (second["live"], second["audience_id"], second["drift"]) == (90, APP, None)
        assert emulator.suppressed(APP) == ids[10:]

        emulator.clear_requests()
        third = run(AppLovinSyncSuppressionOperator, source=ids[10:])
        assert third["requests"] == 0
        assert emulator.requests() == []

    def test_nobody_is_ever_refreshed(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids)
        emulator.advance(3 * 365 * 86_400)
        report = run(AppLovinSyncSuppressionOperator, source=ids)
        assert (report["refreshed"], report["unchanged"], report["requests"]) == (0, 100, 0)

    def test_each_app_has_a_list(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:10])
        run(AppLovinSyncSuppressionOperator, source=ids[5:20], package_name="com.example.other")
        assert emulator.suppressed(APP) == ids[:10]
        assert emulator.suppressed("com.example.other") == ids[5:20]

    def test_append_takes_nobody_off(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:50])
        report = run(AppLovinSyncSuppressionOperator, source=ids[50:], mode="append")
        assert (report["added"], report["removed"]) == (50, 0)
        assert emulator.suppressed(APP) == ids

    def test_some_are_never_put_on(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        report = run(AppLovinSyncSuppressionOperator, source=ids, suppress=ids[:3])
        assert (report["suppressed"], report["live"]) == (3, 97)
        assert emulator.suppressed(APP) == ids[3:]

    def test_a_guard_stops_it_before_anything_is_sent(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str]
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids)
        emulator.clear_requests()
        with pytest.raises(GuardError, match="max_removed_ratio"):
            run(AppLovinSyncSuppressionOperator, source=ids[:60])
        with pytest.raises(InvalidInputError, match="none of the source's texts is an advertising ID"):
            run(AppLovinSyncSuppressionOperator, source=["junk"])
        with pytest.raises(GuardError, match="allow_empty"):
            run(AppLovinSyncSuppressionOperator, source=[], max_removed_ratio=None)
        assert emulator.requests() == []
        assert emulator.suppressed(APP) == ids

    @pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
    def test_it_goes_on_where_it_failed(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str], task_context: MakeContext, kind: str
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:20])
        emulator.fault(ADDED, kind, number=3, times=None)
        arguments: dict[str, Any] = {"source": ids[4:], "batch_size": 10, "max_parallel_requests": 1}
        with pytest.raises(ConnectionFailedError):
            run(AppLovinSyncSuppressionOperator, **arguments)
        assert set(emulator.suppressed(APP)) <= set(ids)
        emulator.clear_faults()
        emulator.clear_requests()
        context = task_context(try_number=2)
        report = run(AppLovinSyncSuppressionOperator, context=context, **arguments)
        assert report["batches_skipped_by_resume"] == 2
        assert len(emulator.requests(ADDED)) == 6
        assert emulator.suppressed(APP) == ids[4:]

    def test_a_lost_ledger(self, run: Run, emulator: AudiencesEmulator, ids: list[str], state_path: Path) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:50])
        ledgers = [path for path in state_path.rglob("*.parquet") if path.is_file()]
        assert ledgers
        for path in ledgers:
            path.unlink()
        with pytest.raises(LedgerLostError):
            run(AppLovinSyncSuppressionOperator, source=ids[10:])
        run(AppLovinSyncSuppressionOperator, source=ids[10:], on_lost_ledger="rebuild")
        assert set(emulator.suppressed(APP)) >= set(ids[10:])

    def test_two_at_once(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str], task_context: MakeContext
    ) -> None:
        folder = state_store("applovin-suppression", emulator.url.partition("://")[2], APP)
        with (
            leased(folder, holder_of(task_context(run_id="another"))),
            pytest.raises(AudienceBusyError, match="another"),
        ):
            run(AppLovinSyncSuppressionOperator, source=ids, wait_for_audience_seconds=0)


class TestPlans:
    @pytest.fixture
    def pushed(self) -> dict[str, Any]:
        return {}

    @pytest.fixture
    def plan(self, run: Run, task_context: MakeContext, pushed: dict[str, Any]) -> Run:
        def make(**arguments: Any) -> dict[str, Any]:
            context = task_context(xcom_push=lambda *, key, value: pushed.update({key: value}))
            return run(AppLovinSyncSuppressionOperator, plan_only=True, context=context, **arguments)

        return make

    def test_a_plan_is_carried_out(
        self, run: Run, plan: Run, emulator: AudiencesEmulator, ids: list[str], pushed: dict[str, Any]
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:50])
        planned = plan(source=ids[10:])
        assert pushed == {"package_name": APP, "plan_id": planned["plan_id"]}
        assert emulator.suppressed(APP) == ids[:50]
        report = run(AppLovinApplySuppressionPlanOperator, **pushed)
        assert (report["added"], report["removed"]) == (50, 10)
        assert emulator.suppressed(APP) == ids[10:]
        emulator.clear_requests()
        run(AppLovinApplySuppressionPlanOperator, **pushed)
        assert emulator.requests() == []

    def test_a_plan_is_outdated_by_a_sync(
        self, run: Run, plan: Run, emulator: AudiencesEmulator, ids: list[str], pushed: dict[str, Any]
    ) -> None:
        plan(source=ids[10:])
        run(AppLovinSyncSuppressionOperator, source=ids)
        with pytest.raises(PlanOutdatedError):
            run(AppLovinApplySuppressionPlanOperator, **pushed)
        assert emulator.suppressed(APP) == ids

    def test_a_guard_can_be_overridden(
        self, run: Run, plan: Run, emulator: AudiencesEmulator, ids: list[str], pushed: dict[str, Any]
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids)
        plan(source=ids[:10])
        with pytest.raises(GuardError):
            run(AppLovinApplySuppressionPlanOperator, **pushed)
        run(AppLovinApplySuppressionPlanOperator, **pushed, override_guards=True)
        assert emulator.suppressed(APP) == ids[:10]


class TestByHand:
    def test_without_a_ledger(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        report = run(AppLovinAddSuppressionOperator, source=ids, batch_size=40)
        assert (report["sent"], report["batches"], report["in_ledger"]) == (100, 3, False)
        report = run(AppLovinRemoveSuppressionOperator, source=ids[:5])
        assert (report["sent"], report["accepted"]) == (5, 5)
        assert emulator.suppressed(APP) == ids[5:]

    def test_a_sync_takes_nobody_off_who_was_put_on_directly(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str]
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids[:50])
        assert run(AppLovinAddSuppressionOperator, source=ids[90:])["in_ledger"] is True
        run(AppLovinSyncSuppressionOperator, source=ids[1:50])
        assert emulator.suppressed(APP) == [*ids[1:50], *ids[90:]]

    def test_a_sync_puts_nobody_on_again_who_was_taken_off(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str]
    ) -> None:
        run(AppLovinSyncSuppressionOperator, source=ids)
        run(AppLovinRemoveSuppressionOperator, source=ids[:5])
        assert run(AppLovinSyncSuppressionOperator, source=ids)["held_back"] == 5
        assert emulator.suppressed(APP) == ids[5:]
        run(AppLovinSyncSuppressionOperator, source=ids, release_held_back=True)
        assert emulator.suppressed(APP) == ids

    def test_a_dry_run_sends_nothing(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        for operator_class in (AppLovinAddSuppressionOperator, AppLovinRemoveSuppressionOperator):
            report = run(operator_class, source=ids, batch_size=40, dry_run=True)
            assert (report["planned_requests"], report["planned_ids"], report["requests"]) == (3, 100, 0)
        assert emulator.requests() == []

    def test_a_malformed_text_stops_only_a_removal(self, run: Run, emulator: AudiencesEmulator, ids: list[str]) -> None:
        assert run(AppLovinAddSuppressionOperator, source=[*ids, "junk"])["malformed"] == 1
        with pytest.raises(InvalidInputError, match="malformed"):
            run(AppLovinRemoveSuppressionOperator, source=[*ids, "junk"])
        assert emulator.suppressed(APP) == ids


class TestArguments:
    @pytest.mark.parametrize("operator_class", OPERATORS)
    @pytest.mark.parametrize("package_name", ["", "None", None, 4.5, "x" * 1_001])
    def test_a_wrong_app_sends_nothing(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str], operator_class: type[Any], package_name: Any
    ) -> None:
        more = {"plan_id": "p"} if operator_class is AppLovinApplySuppressionPlanOperator else {"source": ids}
        with pytest.raises(InvalidInputError, match="package_name") as caught:
            run(operator_class, package_name=package_name, **more)
        assert isinstance(caught.value, AirflowFailException)
        assert emulator.requests() == []

    @pytest.mark.parametrize("changed", [{"mode": "replace"}, {"on_lost_ledger": "replace"}])
    def test_what_the_platform_can_t_do_is_refused(
        self, run: Run, emulator: AudiencesEmulator, ids: list[str], changed: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInputError, match="replace"):
            run(AppLovinSyncSuppressionOperator, source=ids, **changed)
        assert emulator.requests() == []

    @pytest.mark.parametrize("operator_class", OPERATORS)
    @pytest.mark.parametrize("name", ["ttl_seconds", "refresh_before_seconds", "initial", "max_drift", "audience_id"])
    def test_there_is_no_argument_that_does_nothing(self, ids: list[str], operator_class: type[Any], name: str) -> None:
        more = {"plan_id": "p"} if operator_class is AppLovinApplySuppressionPlanOperator else {"source": ids}
        with pytest.raises((AirflowException, TypeError), match=name):
            operator_class(task_id="t", package_name=APP, **more, **{name: 1})

    @pytest.mark.parametrize("operator_class", OPERATORS)
    def test_every_argument_is_described(self, operator_class: type[Any]) -> None:
        text = inspect.getdoc(operator_class) or ""
        for base in cast("tuple[Any, ...]", operator_class.__mro__):
            if base.__module__.startswith("airflow_provider_audiences.operators") and "__init__" in vars(base):
                names = inspect.signature(inspect.unwrap(base.__init__)).parameters
                for name in set(names) - {"self", "kwargs"}:
                    assert f":param {name}:" in text, name


class TestKeys:
    def test_its_own_key_is_used(self, run: Run, connect: Connect, emulator: AudiencesEmulator, ids: list[str]) -> None:
        emulator.settings(suppression_api_key="an0ther-key")
        connect("applovin", extra={"suppression_api_key": "an0ther-key"})
        run(AppLovinAddSuppressionOperator, source=ids)
        assert emulator.suppressed(APP) == ids

    @pytest.mark.parametrize(
        ("extra", "named"), [({}, "Management Key"), ({"suppression_api_key": "wr0ng-key"}, "Suppression API Key")]
    )
    def test_a_refused_key_is_named(
        self,
        run: Run,
        connect: Connect,
        emulator: AudiencesEmulator,
        ids: list[str],
        extra: dict[str, str],
        named: str,
    ) -> None:
        emulator.settings(suppression_api_key="an0ther-key")
        connect("applovin", extra=extra)
        with pytest.raises(AuthenticationError, match=f"The {named} was used") as caught:
            run(AppLovinAddSuppressionOperator, source=ids)
        assert "wr0ng-key" not in str(caught.value)
