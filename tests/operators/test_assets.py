"""Outlets of operators: known when the DAG is parsed, the same in all operators of one audience."""

import copy
import datetime as dt
import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, BaseOperator, task
from support.airflow_versions import Serialization
from support.fixtures import Connect, MakeContext, MakeIds
from support.operators import OPERATORS, arguments_of

from airflow_provider_audiences.assets.applovin import audience_asset, suppression_asset
from airflow_provider_audiences.assets.pai import group_asset
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator, AppLovinUpdateAudienceOperator
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator, PaiDeleteGroupOperator
from airflow_provider_audiences.operators.write_base import WriteOperator

READERS = {
    "AppLovinAudienceSensor",
    "AppLovinListAudiencesOperator",
    "PaiGetGroupOperator",
    "PaiGroupSensor",
    "PaiListGroupsOperator",
}
WRITERS = [found for found in OPERATORS if found.__name__ not in READERS]
OPERATIONS = {
    "AppLovinAddSuppressionOperator": "append",
    "AppLovinAppendUsersOperator": "append",
    "AppLovinApplyPlanOperator": "apply",
    "AppLovinApplySuppressionPlanOperator": "apply",
    "AppLovinCreateAudienceOperator": "create",
    "AppLovinDeleteAudienceOperator": "delete",
    "AppLovinRemoveSuppressionOperator": "remove",
    "AppLovinRemoveUsersOperator": "remove",
    "AppLovinSendChangesOperator": "changes",
    "AppLovinSendSuppressionChangesOperator": "changes",
    "AppLovinSyncAudienceOperator": "sync",
    "AppLovinSyncSuppressionOperator": "sync",
    "AppLovinUpdateAudienceOperator": "update",
    "PaiCreateGroupOperator": "create",
    "PaiDeleteGroupOperator": "delete",
    "PaiReplaceGroupOperator": "replace",
    "PaiSyncGroupOperator": "sync",
}
HANDLE = "One & the same, 100%"
each_writer = pytest.mark.parametrize("operator_class", WRITERS, ids=lambda found: found.__name__)


def needed(operator_class: type[Any], handle: Any) -> dict[str, Any]:
    """What an operator needs, with the handle in the arguments that name what is written to."""
    arguments = arguments_of(operator_class)
    given = {name: "x" for name, parameter in arguments.items() if parameter.default is parameter.empty}
    return given | {operator_class.target_arguments[-1]: handle}


def asset_of(operator_class: type[Any], handle: str, account: str) -> Any:
    make = {
        "audience": audience_asset,
        "suppression_list": suppression_asset,
        "group": group_asset,
    }[operator_class.target_kind.name]
    return make(handle, account=account)


def made(operator_class: type[Any], handle: Any = HANDLE, **more: Any) -> Any:
    return operator_class(task_id="task", **(needed(operator_class, handle) | more))


def conn_id(operator_class: type[Any], value: str) -> dict[str, str]:
    return {operator_class.conn_argument(): value}


def dag_of(**arguments: Any) -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), **arguments)


def test_all_that_write_have_one() -> None:
    assert {found.__name__: found.operation for found in WRITERS} == OPERATIONS
    assert [found for found in OPERATORS if issubclass(found, WriteOperator)] == WRITERS


@each_writer
def test_all_operators_of_one_audience_build_the_same_asset(operator_class: Any) -> None:
    platform = operator_class.target_kind.platform.name
    assert made(operator_class).outlets == [asset_of(operator_class, HANDLE, f"{platform}_default")]
    by_connection = made(operator_class, **conn_id(operator_class, "eu"))
    by_account = made(operator_class, account="eu")
    both = made(operator_class, account="eu", **conn_id(operator_class, "other"))
    assert by_connection.outlets == by_account.outlets == both.outlets == [asset_of(operator_class, HANDLE, "eu")]


@each_writer
def test_what_is_not_known_yet_is_no_outlet(operator_class: Any) -> None:
    assert made(operator_class, "{{ params.handle }}").outlets == []
    assert made(operator_class, "{% if true %}x{% endif %}").outlets == []
    assert made(operator_class, " ").outlets == []
    assert made(operator_class, "会" * 999).outlets == []
    assert made(operator_class, account="{{ params.account }}").outlets == []
    assert made(operator_class, **conn_id(operator_class, "{{ params.conn }}")).outlets == []
    with dag_of():
        output = BaseOperator(task_id="upstream").output
        assert made(operator_class, output).outlets == []
    known = made(operator_class, account="eu", **conn_id(operator_class, "{{ params.conn }}"))
    assert known.outlets == [asset_of(operator_class, HANDLE, "eu")]


@each_writer
def test_an_asset_may_be_named(operator_class: Any) -> None:
    uri = asset_of(operator_class, "named", "eu").uri
    assert made(operator_class, "{{ params.handle }}", asset=uri).outlets == [Asset(uri)]
    assert made(operator_class, asset=Asset("of_the_user")).outlets == [Asset("of_the_user")]
    with pytest.raises(InvalidInputError, match="asset is"):
        made(operator_class, asset="{{ params.asset }}")


@each_writer
def test_outlets_of_the_user_are_kept_and_shared_lists_unchanged(operator_class: Any) -> None:
    theirs = Asset("of_the_user")
    platform = operator_class.target_kind.platform.name
    own = asset_of(operator_class, HANDLE, f"{platform}_default")
    shared = [theirs]
    with dag_of(default_args={"outlets": shared}):
        assert made(operator_class).outlets == [theirs, own]
    assert shared == [theirs]
    assert made(operator_class, outlets=theirs).outlets == [theirs, own]
    assert made(operator_class, outlets=[own, theirs]).outlets == [own, theirs]


@each_writer
def test_the_account_may_come_from_default_args(operator_class: Any) -> None:
    with dag_of(default_args={"account": "eu"}):
        assert made(operator_class).outlets == [asset_of(operator_class, HANDLE, "eu")]


@each_writer
def test_airflow_stores_it_and_copies_have_it(operator_class: Any) -> None:
    with dag_of() as dag:
        operator = made(operator_class)
    own = operator.outlets[0]
    for copied in (copy.copy(operator), copy.deepcopy(operator), dag.partial_subset("task").get_task("task")):
        assert copied.outlets == [own]
    stored = json.loads(json.dumps(Serialization.to_dict(dag)))
    assert own.uri in json.dumps(stored)
    (read,) = Serialization.from_dict(stored).get_task("task").outlets
    assert read.uri == own.uri


@each_writer
def test_a_mapped_task_has_only_what_partial_says(operator_class: Any) -> None:
    given = needed(operator_class, HANDLE)
    theirs = Asset("of_the_user")
    with dag_of():
        mapped = operator_class.partial(task_id="silent", **given).expand(account=["7"])
        told = operator_class.partial(task_id="told", outlets=[theirs], **given).expand(account=["7"])
        named = operator_class.partial(task_id="named", asset="named", **given).expand(account=["7"])
    assert [one.outlets for one in (mapped, told, named)] == [[], [theirs], [Asset("named")]]
    assert [one.unmap({"account": "7"}).outlets for one in (mapped, told, named)] == [[], [theirs], [Asset("named")]]


@pytest.mark.parametrize("value", [True, "true", " True "])
def test_what_writes_nothing_has_none(value: Any) -> None:
    given: dict[str, Any] = {"task_id": "t", "audience_id": "a", "source": "/x"}
    assert AppLovinSyncAudienceOperator(plan_only=value, **given).outlets == []
    assert AppLovinUpdateAudienceOperator(dry_run=value, **given).outlets == []
    assert AppLovinUpdateAudienceOperator(dry_run=value, asset="x", **given).outlets == []
    assert (
        AppLovinSyncAudienceOperator.partial(plan_only=value, asset="x", **given).expand(mode=["mirror"]).outlets == []
    )


def test_a_decorated_function_has_the_asset_of_its_operator() -> None:
    def ids() -> list[str]:
        return []

    decorators: Any = task
    with dag_of():
        alone = decorators.applovin_append_users(audience_id="fce0")(ids)().operator
        named = decorators.applovin_append_users(audience_id="{{ params.x }}", asset="named")(ids)().operator
        mapped = (
            decorators.applovin_append_users(audience_id="fce0", asset="named")(lambda x: [x]).expand(x=[1]).operator
        )
        silent = decorators.applovin_append_users(audience_id="fce0")(lambda x: [x]).expand(x=[1]).operator
    assert [one.outlets for one in (alone, named, mapped, silent)] == [
        [audience_asset("fce0")],
        [Asset("named")],
        [Asset("named")],
        [],
    ]


def test_an_id_counts_before_a_name() -> None:
    sync = AppLovinSyncAudienceOperator(task_id="t", name="Loyal", platform="ios", package_name="p", source="/x")
    assert sync.outlets == [audience_asset("Loyal")]
    assert AppLovinSyncAudienceOperator(task_id="t", audience_id="fce0", source="/x").outlets == [
        audience_asset("fce0")
    ]
    assert AppLovinApplyPlanOperator(task_id="t", audience_id="fce0", plan_id="p").outlets == [audience_asset("fce0")]


def test_a_group_without_a_name_has_none() -> None:
    assert PaiCreateGroupOperator(task_id="t", source=0, text="13900001111").outlets == []


class Accessor:
    """What Airflow gives a task to write an event with."""

    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}
        self.added: list[tuple[Any, Any]] = []

    def add(self, asset: Any, extra: Any = None) -> None:
        self.added.append((asset, extra))


class Accessors(dict[Any, Any]):
    def __missing__(self, outlet: Any) -> Accessor:
        accessor: Accessor = self.setdefault(outlet.name if isinstance(outlet, AssetAlias) else outlet.uri, Accessor())
        return accessor

    def __getitem__(self, outlet: Any) -> Accessor:
        return self.__missing__(outlet)


@pytest.fixture
def events() -> Accessors:
    return Accessors()


def test_an_event_has_the_report_and_the_connection(
    connect: Connect,
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    events: Accessors,
    applovin: Any,
) -> None:
    audience_id = applovin.create_audience(name="A", platform="ios", package_name="p").audience_id
    operator = AppLovinAppendUsersOperator(task_id="t", audience_id=audience_id, source=make_ids(3), account="eu")
    report = operator.execute(task_context() | {"outlet_events": events})
    extra = events[audience_asset(audience_id, account="eu")].extra
    assert extra.pop("at") > 0
    assert extra == {
        "audiences": 1,
        "platform": "applovin",
        "kind": "audience",
        "name": audience_id,
        "operation": "append",
        "conn_id": "applovin_default",
        "report": report,
    }


def test_no_event_of_what_failed_or_is_no_outlet(
    connect: Connect, emulator: AudiencesEmulator, task_context: MakeContext, events: Accessors
) -> None:
    context = task_context() | {"outlet_events": events}
    with pytest.raises(Exception, match="not found"):
        PaiDeleteGroupOperator(task_id="t", group_id="missing").execute(context)
    operator = PaiDeleteGroupOperator(task_id="t", group_id="missing", ignore_missing=True)
    operator.outlets = []
    operator.execute(context)
    assert events == {}


def test_accounts_have_ledgers_of_their_own_of_one_list(
    connect: Connect,
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path))

    def added(count: int, account: str | None) -> Any:
        operator = AppLovinSyncSuppressionOperator(
            task_id="t", package_name="com.example", source=make_ids(count), account=account
        )
        report = operator.execute(task_context())
        assert report["audience_id"] == "com.example"
        return report["added"]

    assert [added(5, None), added(5, "eu"), added(5, "us"), added(6, "eu"), added(6, None)] == [5, 5, 5, 1, 1]
    folders = {path.name for path in (tmp_path / "applovin-suppression").iterdir()}
    assert len(folders) == 3
    assert len([name for name in folders if "account" in name]) == 2
    with pytest.raises(InvalidInputError, match="account"):
        added(5, " ")
