"""
Operator that replaces a PAI audience group by a new one, made from one of PAI's own sources.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from airflow_provider_audiences.operators.arguments import PaiReplaceArguments
from airflow_provider_audiences.operators.pai_base import PaiGroupSpecOperator
from airflow_provider_audiences.operators.pai_refresh_base import PaiRefreshOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh


class PaiReplaceGroupOperator(PaiRefreshOperator, PaiGroupSpecOperator):
    """
    Refresh a group: make a new one, wait until it is ready, then delete the groups that it replaces.

    PAI can't change a group. So that a group exists at any time, the old one is deleted only when the new one is ready;
    if the new one is rejected, or not ready in time, the old one stays. Only groups of the same name that this task
    made, in whatever run, are replaced. Each map index of a mapped task has groups of its own.

    After a crash the next try continues, and the next run deletes what was left behind. Two runs at the same time leave
    a group too, but both are billed, and one may fail with an error that Airflow retries: set ``max_active_runs=1`` on
    the DAG.

    :param name: name of the group (templated).
    :param source: a ``PaiSource`` or its number: 0 text, 1 text file, 2
        CSV file, 3 MaxCompute table, 4 algorithm (templated).
    :param text: for source 0: at most 100 phone numbers, as text with one a line or as a list; never shown (templated).
    :param uri: for sources 1 and 2: address of the file, ``https://<bucket>.oss-<region>.aliyuncs.com/<key>``
        (templated).
    :param phone_number: whether the group holds phone numbers, as a bool or its text. Reach campaigns need them
        (templated).
    :param project: for source 3: name of the MaxCompute project (templated).
    :param table: for source 3: name of the MaxCompute table (templated).
    :param column: for sources 2 and 3: column with the phone numbers; required with ``phone_number=True`` (templated).
    :param filter: for source 3, optional: condition on the rows, such as ``ds={{ ds_nodash }}``; an empty one is an
        error (templated).
    :param algorithm: for source 4: name of the algorithm (templated).
    :param inference_job_id: for source 4: id of the prediction task (templated).
    :param remark: free text; an empty one is left out (templated).
    :param phone_format: which lines of ``text`` are phone numbers: ``cn_mobile`` (default), mobile numbers of mainland
        China; or ``any``, numbers of any country.
    :param keep_previous: how many of the replaced groups that are ready to keep, the newest first; default 0.
    :param delete_failed: delete the new group if it is rejected or not ready in time; default True.
    :param provenance: key by which the task finds the groups that it made, in all its runs; None (default) for
        ``dag_id:task_id``. Before you rename the DAG or the task, set it to the old ``dag_id:task_id``. If several
        deployments share an account, give each its own (templated).
    :param allow_older_run: let this run make a group even if a run with a newer logical date has made one; default
        False (templated).
    :param min_amount: least number of people in a ready group; default 1 (templated).
    :param ready_statuses: Statuses that count as ready, such as ``[1]``; None (default) for those of the connection's
        dialect: 0 and 1 with an API key, 1 with an AccessKey.
    :param failed_statuses: Statuses that never become ready; None (default) for ``[2]``.
    :param timeout: longest wait until the new group is ready, in seconds or as a timedelta; default 6 hours.
    :param poke_interval: pause before the first poll and between the first two, in seconds or as a timedelta; default
        60. It doubles from poll to poll. Each poll is billed.
    :param max_poke_interval: longest pause between two polls, in seconds or as a timedelta; default 600.
    :param max_poll_failures: how many polls in a row may fail for a passing reason, such as a server error; default 5.
    :param deferrable: wait in the triggerer, without a worker slot; default Airflow's ``[operators]
        default_deferrable``.
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :param account: what tells accounts apart in the group's asset; None (default) for the connection's id (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: report with ``group_id, name, status, amount, unchanged, adopted, replaced_group_ids, kept_group_ids,
        leftover_group_ids, verdicts, billable_calls, seconds``, and ``estimated_cost`` if the connection has a price;
        ``group_id``, ``billable_calls`` and ``estimated_cost`` are XComs of their own too.
    :raises InvalidInputError: a parameter is missing, wrong, or of another source; nothing was sent.
    :raises GuardError: a run with a newer logical date has made a group (``allow_older_run``); no group was made.
    :raises GroupRejectedError: PAI rejected the new group (the message has its History), or it has too few people.
    :raises GroupNotReadyError: the new group was not ready within ``timeout``.
    :raises TransientError: the new group is gone, for example replaced by a run at the same time; Airflow retries.
    """

    template_fields: Sequence[str] = (
        *PaiGroupSpecOperator.template_fields,
        "provenance",
        "allow_older_run",
        "min_amount",
    )
    operation = "replace"

    def __init__(self, *, name: str, **kwargs: Unpack[PaiReplaceArguments]) -> None:
        super().__init__(name=name, **kwargs)
        self.name_outlet()

    def begin(self, context: Context, client: PaiClient) -> PendingRefresh:
        """
        Make the new group.

        :param context: context of the task.
        :param client: client of the PAI account.
        """
        began = time.time()
        spec = self.checked_spec()
        marker = self.marker(context, client, spec)
        refresh = self.new_group_refresh(client, spec, marker)
        tidied = refresh.tidy(marker, allow_older_run=self.arguments.allow_older_run)
        return refresh.begin(spec, marker, tidied, began_epoch_seconds=began)
