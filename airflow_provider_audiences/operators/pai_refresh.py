"""
The operator that lets a new PAI audience group take the place of the old one.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.operators.pai_base import PaiGroupSpecOperator
from airflow_provider_audiences.operators.pai_refresh_base import PaiRefreshOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.refresh import Refreshing


class PaiReplaceGroupOperator(PaiRefreshOperator, PaiGroupSpecOperator):
    """
    Refresh a group: make a new one, wait until it is ready, and then delete those that it replaces.

    PAI can't change a group. So that there is one at any time, the old group goes only when the new one is ready. If
    the new one is rejected, or not ready in time, the old one stays. What is replaced are the groups of the same name
    that this task made, in whatever run; groups of others are never touched. A run that was cut off goes on in the
    next try, and what it left behind is deleted by the next run. Two runs at once leave a group as well; one of them
    may fail with an error that Airflow retries. Set ``max_active_runs=1`` on the DAG all the same: both are billed.
    Each task of a mapped operator has groups of its own, also of the same name.

    :param name: of the group (templated).
    :param source: a ``PaiSource`` or its number: 0 text, 1 text file, 2 CSV file, 3 MaxCompute table, 4 algorithm
        (templated).
    :param text: for source 0: at most 100 phone numbers, as text with one a line or as a list (templated; never
        shown).
    :param uri: for sources 1 and 2: the file, ``https://<bucket>.oss-<region>.aliyuncs.com/<key>`` (templated).
    :param phone_number: whether the group contains phone numbers, a bool or its text; Reach campaigns need them
        (templated).
    :param project: for source 3: MaxCompute project (templated).
    :param table: for source 3: MaxCompute table (templated).
    :param column: for sources 2 and 3: column with the phone numbers, required with ``phone_number=True``
        (templated).
    :param filter: for source 3, optional: condition, such as ``ds={{ ds_nodash }}``; an empty one is an error
        (templated).
    :param algorithm: for source 4: the associated algorithm (templated).
    :param inference_job_id: for source 4: id of the prediction task (templated).
    :param remark: free text; an empty one is left out (templated).
    :param phone_format: rule for ``text``: ``cn_mobile``, mobile numbers of mainland China, or ``any``, numbers of any
        country.
    :param keep_previous: how many of the ready groups that are replaced stay, newest first.
    :param delete_failed: delete the new group if it is rejected or not ready in time.
    :param provenance: by what the groups of this task are known; None for ``dag_id:task_id``. Set it to that before
        the DAG or the task is renamed; give several deployments that share an account each their own (templated).
    :param allow_older_run: let a run make a group although one with a newer logical date has made one since
        (templated).
    :param min_amount: least number of people (templated).
    :param ready_statuses: statuses that are ready; None for those of the connection's dialect.
    :param failed_statuses: statuses that never become ready; None for 2.
    :param timeout: how long to wait until the new group is ready, in seconds or as a timedelta.
    :param poke_interval: pause before the first poll, in seconds or as a timedelta; each poll is billed.
    :param max_poke_interval: what the pause between two polls grows to, in seconds or as a timedelta.
    :param max_poll_failures: transient failures of polls in a row that are borne.
    :param deferrable: wait in the triggerer.
    :param pai_conn_id: id of the connection (templated).
    :return: report with ``group_id, name, status, amount, unchanged, adopted, replaced_group_ids, kept_group_ids,
        leftover_group_ids, verdicts, billable_calls, seconds``, and ``estimated_cost`` if the connection has a price;
        ``group_id``, ``billable_calls`` and ``estimated_cost`` are XComs of their own too.
    :raises InvalidInputError: a parameter is refused; nothing was sent.
    :raises GroupRejectedError: PAI rejected the new group (the message has the History), or it is too small.
    :raises GroupNotReadyError: the new group was not ready in time.
    :raises TransientError: the new group is gone, such as by a run at the same time whose group is newer.
    """

    template_fields: Sequence[str] = (
        *PaiGroupSpecOperator.template_fields,
        "provenance",
        "allow_older_run",
        "min_amount",
    )

    def __init__(self, *, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def begin(self, context: Context, client: PaiClient) -> Refreshing:
        """
        Make the new group.

        :param context: of the task.
        :param client: of the account.
        """
        from airflow_provider_audiences.validation import true_or_false

        began = time.time()
        spec = self.checked_spec()
        marker = self.marker(context, client, spec)
        refresh = self.refresh(
            client, name=spec.name or "", owner=marker.owner, call=marker.call, map_index=marker.map_index
        )
        refresh.tidy(marker, allow_older_run=true_or_false("allow_older_run", self.allow_older_run))
        return refresh.begin(spec, marker, began_epoch_seconds=began)
