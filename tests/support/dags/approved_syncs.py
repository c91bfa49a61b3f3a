"""
Runs the DAG below for real (``dag.test()``), and answers its questions as Airflow's API does for a person.

A script, not a test: Airflow keeps its process for itself. Each argument is a day and the answer, as in
``2026-03-01=Approve``; a day without an answer has no question. Prints how tasks ended, and what was asked.
"""

import datetime as dt
import json
import os
import sys
import threading
import time
import traceback
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier
from airflow_provider_audiences.task_groups.applovin import approved_sync

INPUT = json.loads(os.environ["DAG_RUNS_INPUT"])
FOLDER, AUDIENCE = INPUT["folder"], INPUT["audience_id"]
ASKED: list[dict[str, Any]] = []
NOTICES: list[str] = []


def take(context: Any) -> None:
    NOTICES.append(f"{context['ti'].task_id} {context['notice'].subject}")


ON_CHANGE = AudienceStateNotifier(notifiers=take, expiry_within=None)

with DAG("approved_daily", schedule="@daily", start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as approved_daily:
    approved_sync(
        audience_id=AUDIENCE,
        source=FOLDER + "/ids_{{ ds }}.txt",
        drift_patience_seconds=0,
        on_success_callback=ON_CHANGE,
        on_failure_callback=ON_CHANGE,
        notifiers=lambda context: ASKED.append({"notified": context["ti"].task_id}),
    )


def answer(option: str) -> None:
    """Wait for the question, and answer it."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    questions = (
        select(TaskInstance, HITLDetail)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(TaskInstance.state == "awaiting_input", HITLDetail.responded_at.is_(None))
    )
    while True:
        time.sleep(0.5)
        with create_session() as session:
            found = session.execute(questions).first()
            if found is None:
                continue
            ti, question = found
            ASKED.append({"subject": question.subject, "body": question.body})
            update_hitl_detail(
                dag_id=ti.dag_id,
                dag_run_id=ti.run_id,
                task_id=ti.task_id,
                update_hitl_detail_payload=UpdateHITLDetailPayload(chosen_options=[option], params_input={}),
                user=SimpleAuthManagerUser(username="reviewer", role="ADMIN"),
                session=session,
            )
            return


def answer_or_end(option: str) -> None:
    """Answer; without an answer, the run would wait for ever."""
    try:
        answer(option)
    except BaseException:  # noqa: BLE001 - told, whatever it is
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    ended = []
    for argument in sys.argv[1:]:
        day, _, option = argument.partition("=")
        if option:
            threading.Thread(target=answer_or_end, args=(option,), daemon=True).start()
        run = approved_daily.test(logical_date=dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC))
        ended.append({ti.task_id.partition(".")[2]: str(ti.state) for ti in run.get_task_instances()})
    print("\nENDED", json.dumps({"runs": ended, "asked": ASKED, "notices": NOTICES}))  # noqa: T201 - the test reads it
