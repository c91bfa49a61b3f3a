"""
Runs the DAGs below for real (``dag.test()``), each once, and prints as JSON how their tasks ended.

A script, not a test: Airflow keeps its process for itself. Members come in by the environment, as they come from
outside in earnest: they are not in the code, which Airflow stores.
"""

import datetime as dt
import json
import os
import sys
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinListAudiencesOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.pai import (
    PaiCreateGroupOperator,
    PaiDeleteGroupOperator,
    PaiGetGroupOperator,
    PaiListGroupsOperator,
    PaiSource,
)
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor
from airflow_provider_audiences.sensors.pai import PaiGroupSensor

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
AUDIENCE, IDS, PHONES, SIGNED_URI = (INPUT[name] for name in ("audience_id", "ids", "phones", "signed_uri"))
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
AT_ONCE = dt.timedelta(0)


class Produce(BaseOperator):
    """Stands for a task of the user's that returns members."""

    def __init__(self, *, what: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what = what

    def execute(self, context: Any) -> Any:  # noqa: ARG002 - the name is Airflow's
        return {"ids": IDS, "phones": PHONES, "lists": [IDS, IDS]}[self.what]


with DAG("failures", default_args={"retries": 2, "retry_delay": AT_ONCE}, start_date=START, schedule=None) as failures:
    PaiGetGroupOperator(task_id="missing", group_id="nobody")
    PaiListGroupsOperator(task_id="server_down")
    AppLovinUpdateAudienceOperator(task_id="wrong_source", audience_id=AUDIENCE, source="/no/such/file")
    PaiGroupSensor(task_id="missing_deferred", group_id="nobody", deferrable=True)

with DAG("recovery", default_args={"retries": 2, "retry_delay": AT_ONCE}, start_date=START, schedule=None) as recovery:
    PaiCreateGroupOperator(task_id="create", source=PaiSource.TEXT, name="recovered", text=PHONES, phone_number=True)

with DAG("asked", default_args={"retries": 1, "retry_delay": AT_ONCE}, start_date=START, schedule=None) as asked:
    AppLovinListAudiencesOperator(task_id="waits")
    if get_base_airflow_version_tuple() >= (3, 3, 0):
        from airflow.providers.common.compat.sdk import ExceptionRetryPolicy, RetryAction

        PaiListGroupsOperator(task_id="of_the_user", retry_policy=ExceptionRetryPolicy([], default=RetryAction.FAIL))

with DAG("waiting", start_date=START, schedule=None) as waiting:
    create = PaiCreateGroupOperator(task_id="create", source=0, name="waited for", text="\n".join(PHONES))
    times = {"poke_interval": 0.2, "timeout": 60}
    ready = [
        PaiGroupSensor(task_id="poke", group_id=create.output, **times),
        PaiGroupSensor(task_id="reschedule", group_id=create.output, mode="reschedule", **times),
        PaiGroupSensor(task_id="deferred", group_id=create.output, deferrable=True, **times),
        AppLovinAudienceSensor(task_id="audience", audience_id=AUDIENCE, deferrable=True, **times),
        PaiGroupSensor(task_id="late", group_id=create.output, min_amount=0, ready_statuses=[9], poke_interval=0.1,
                       timeout=0.3, deferrable=True, soft_fail=True, failed_statuses=[8]),
    ]  # fmt: skip
    shown = PaiGetGroupOperator(task_id="get", group_id="{{ ti.xcom_pull('create') }}")
    ready[:4] >> shown >> PaiDeleteGroupOperator(task_id="delete", group_id=create.output)

with DAG("personal", start_date=START, schedule=None) as personal:
    ids, phones = Produce(task_id="ids", what="ids"), Produce(task_id="phones", what="phones")
    lists = Produce(task_id="lists", what="lists")
    upload = {"audience_id": AUDIENCE}
    AppLovinAppendUsersOperator(task_id="given", source=IDS, **upload)
    if get_base_airflow_version_tuple()[:2] != (3, 0):  # of which dag.test() copies what can't be copied
        AppLovinAppendUsersOperator(task_id="generated", source=(item for item in IDS), **upload)
    AppLovinAppendUsersOperator(task_id="by_xcom", source=ids.output, **upload)
    AppLovinAppendUsersOperator.partial(task_id="mapped", **upload).expand(source=[IDS, IDS[:1]])
    AppLovinAppendUsersOperator.partial(task_id="shared", source=IDS).expand(audience_id=[AUDIENCE])
    AppLovinAppendUsersOperator.partial(task_id="mapped_kwargs").expand_kwargs([{"source": IDS, **upload}])
    AppLovinAppendUsersOperator.partial(task_id="mapped_xcom", **upload).expand(source=lists.output)
    # A list that a template makes to text: refused, and not shown either.
    ids >> AppLovinAppendUsersOperator(task_id="as_text", source="{{ ti.xcom_pull('ids') }}", **upload)
    group = {"source": 0, "phone_number": True}
    PaiCreateGroupOperator(task_id="text", name="a", text="\n".join(PHONES), **group)
    PaiCreateGroupOperator(task_id="text_list", name="b", text=PHONES, **group)
    PaiCreateGroupOperator(task_id="text_xcom", name="c", text=phones.output, **group)
    phones >> PaiCreateGroupOperator(
        task_id="text_template", name="d", text="{{ ti.xcom_pull('phones') | join('\n') }}", **group
    )
    PaiCreateGroupOperator(task_id="text_mixed", name="e", text=PHONES[0] + "\n{{ ds }}", **group)
    PaiCreateGroupOperator.partial(task_id="text_mapped", name="f", **group).expand(text=[PHONES, PHONES[0]])
    PaiCreateGroupOperator.partial(task_id="text_shared", text=PHONES, **group).expand(name=["g"])
    PaiCreateGroupOperator(task_id="uri", source=1, name="h", uri=SIGNED_URI) >> PaiListGroupsOperator(task_id="list")

if __name__ == "__main__":
    ended = {}
    for name in sys.argv[1:]:
        run = globals()[name].test()
        ended[name] = {
            f"{ti.task_id}{f'[{ti.map_index}]' if ti.map_index >= 0 else ''}": [str(ti.state), ti.try_number]
            for ti in run.get_task_instances()
        }
    print("\nENDED", json.dumps(ended))  # noqa: T201 - the test reads it
