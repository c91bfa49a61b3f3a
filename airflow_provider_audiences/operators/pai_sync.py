"""
Operator that makes a PAI audience group equal a source of phone numbers.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from airflow_provider_audiences.common.masked import AddressField, MaskedFieldsMixin, MembersField
from airflow_provider_audiences.exceptions import AudienceError, PermanentError
from airflow_provider_audiences.operators.arguments import PaiRefreshArguments
from airflow_provider_audiences.operators.pai_base import provenance_of
from airflow_provider_audiences.operators.pai_refresh_base import PaiRefreshOperator
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.common.pai.group_files import GroupFiles
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh
    from airflow_provider_audiences.platforms.pai.refresh import GroupRefresh
    from airflow_provider_audiences.sync.guards import Guards, Verdict


class PaiSyncGroupOperator(MaskedFieldsMixin, PaiRefreshOperator):
    """
    Make a group of all phone numbers of a source, and let it replace the group before it.

    The source is staged first: numbers are brought to their normal form, deduplicated and counted. Up to 100 numbers go
    to PAI as text; more are written to a text file below ``stage_path``, from where PAI reads them. Then the group is
    refreshed as in ``PaiReplaceGroupOperator``, and the file is removed. If the present group was made of the same
    numbers, nothing is sent and nothing is billed, unless a newer group is still being checked, which would replace it.

    :param name: name of the group (templated).
    :param source: phone numbers (templated). One of: the path of a file, a folder or a glob (local, ``file://…``, an
        ``ObjectStoragePath`` or its text) of text, CSV, JSON lines or Parquet, plain, ``.gz`` or ``.zst``; a list of
        such paths; a ``FileSource`` or an ``SqlSource``; a list or another iterable of numbers; a data frame; an
        XComArg of one of these, or a list of XComArgs. Rendered templates don't show numbers. An XCom that another task
        pushed does hold them: prefer a path.
    :param suppress: second source, in the same forms as ``source``: numbers that must not be in the group, such as
        opt-outs. None in the DAG file (default) for nobody; None at run time is an error (templated).
    :param stage_path: folder to write the file for PAI to: ``oss://bucket/prefix``, or the address of another store;
        required for more than 100 numbers. Keep it the same in all runs, since files are looked up there to be removed
        (templated).
    :param stage_conn_id: Airflow connection of that store; None (default) for the connection in the address, or the
        worker's own credentials (templated).
    :param uri_template: address by which PAI reads the file, with ``{bucket}`` and ``{key}``; None (default) for
        ``https://{bucket}.oss-cn-hangzhou.aliyuncs.com/{key}`` (templated).
    :param delete_file: remove the file once the group is ready or has failed; default True.
    :param remark: free text; an empty one is left out (templated).
    :param force: make a new group even if the numbers are the same; default False (templated).
    :param min_members: fail if fewer numbers than this are left of the source, after ``suppress``; default 1, which is
        also the least (templated).
    :param max_removed_ratio: fail if the new group has fewer numbers than the present group has people, by a larger
        share of those people than this, from 0 to 1; default 0.3. None in the DAG file, or the word ``off``, for no
        limit (templated).
    :param max_added_ratio: fail if the new group has more numbers than the present group has people, by a larger share
        of those people than this; None (default) or ``off`` for no limit (templated).
    :param max_removed: as ``max_removed_ratio``, but a number of people; None (default) or ``off`` for no limit
        (templated).
    :param max_added: as ``max_added_ratio``, but a number of people, in the first run too; None (default) or ``off``
        for no limit (templated).
    :param min_suppressed: fail if ``suppress`` has fewer numbers than this; default 0 (templated).
    :param suppress_on_malformed: what to do with texts of ``suppress`` that are not phone numbers: ``fail`` (default),
        because each may stand for a person who would then be in the group; or ``drop`` counts them (templated).
    :param phone_format: which texts are phone numbers: ``cn_mobile`` (default), mobile numbers of mainland China; or
        ``any``, numbers of any country.
    :param on_malformed: what to do with texts of ``source`` that are not phone numbers: ``drop`` (default) counts them,
        ``fail`` stops at the first one.
    :param max_malformed_ratio: fail if a larger share of the texts of ``source`` or of ``suppress`` than this is
        malformed, from 0 to 1; None (default) or ``off`` for no limit (templated).
    :param rejects_path: where to write a report of the malformed texts, one row each: source, row number, reason and a
        masked preview. A ``.parquet`` or ``.csv`` file, local or in an object store; None (default) for no report
        (templated).
    :param rejects_include_values: also write the rejected texts themselves to that report; default False.
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
    :return: the report of ``PaiReplaceGroupOperator``, with ``members, malformed, duplicates, blank, members_by_column,
        suppressed, suppress_members, suppress_malformed, suppress_duplicates, suppress_blank``, and ``file_bytes`` if a
        file was written.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises GuardError: a guard stopped the run, such as too few numbers; no group was made.
    :raises GroupRejectedError: PAI rejected the new group (the message has its History), or it has too few people.
    :raises GroupNotReadyError: the new group was not ready within ``timeout``.
    :raises TransientError: the new group is gone, for example replaced by a run at the same time; Airflow retries.
    """

    limit_arguments = frozenset(
        {"max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "max_malformed_ratio"}
    )
    widest_limits: ClassVar[dict[str, object]] = {"min_members": 1}  # PAI makes no empty group
    template_fields: Sequence[str] = (
        "name",
        "source",
        "suppress",
        "stage_path",
        "stage_conn_id",
        "uri_template",
        "remark",
        "force",
        "min_members",
        "max_removed_ratio",
        "max_added_ratio",
        "max_removed",
        "max_added",
        "min_suppressed",
        "suppress_on_malformed",
        "max_malformed_ratio",
        "rejects_path",
        "provenance",
        "allow_older_run",
        "min_amount",
        "account",
        "pai_conn_id",
    )
    operation = "sync"
    template_ext: Sequence[str] = (".sql",)  # of an SqlSource
    source = MembersField()
    suppress = MembersField()
    stage_path = AddressField()
    rejects_path = AddressField()

    def __init__(
        self,
        *,
        name: str,
        source: Any,
        suppress: Any = None,
        stage_path: Any = None,
        stage_conn_id: str | None = None,
        uri_template: str | None = None,
        delete_file: bool = True,
        remark: str | None = None,
        force: bool | str = False,
        min_members: int | str = 1,
        max_removed_ratio: float | str | None = 0.3,
        max_added_ratio: float | str | None = None,
        max_removed: int | str | None = None,
        max_added: int | str | None = None,
        min_suppressed: int | str = 0,
        suppress_on_malformed: Literal["fail", "drop"] = "fail",
        phone_format: Literal["cn_mobile", "any"] = "cn_mobile",
        on_malformed: Literal["drop", "fail"] = "drop",
        max_malformed_ratio: float | str | None = None,
        rejects_path: Any = None,
        rejects_include_values: bool = False,
        **kwargs: Unpack[PaiRefreshArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.source = source
        self.suppress = suppress
        self.stage_path = stage_path
        self.stage_conn_id = stage_conn_id
        self.uri_template = uri_template
        self.delete_file = delete_file
        self.remark = remark
        self.force = force
        self.min_members = min_members
        self.max_removed_ratio = max_removed_ratio
        self.max_added_ratio = max_added_ratio
        self.max_removed = max_removed
        self.max_added = max_added
        self.min_suppressed = min_suppressed
        self.suppress_on_malformed = suppress_on_malformed
        self.phone_format = phone_format
        self.on_malformed = on_malformed
        self.max_malformed_ratio = max_malformed_ratio
        self.rejects_path = rejects_path
        self.rejects_include_values = rejects_include_values
        self.name_outlet()

    def begin(self, context: Context, client: PaiClient) -> PendingRefresh:
        """
        Stage the source, and make the new group unless the present one has the same numbers.

        :param context: context of the task.
        :param client: client of the PAI account.
        """
        from airflow_provider_audiences.members.identifiers.kinds import PhoneNumbers
        from airflow_provider_audiences.platforms.pai.group_numbers import subtract_opt_outs
        from airflow_provider_audiences.platforms.pai.marker import owner_digest
        from airflow_provider_audiences.sources.member_arguments import MemberArguments
        from airflow_provider_audiences.validation import true_or_false

        began = time.time()
        force = true_or_false("force", self.force)
        deletes_file = self._deletes_file
        guards = self._guards
        arguments = MemberArguments.of(self, identifier_kind=PhoneNumbers(phone_format=self.phone_format))
        map_index = getattr(context["ti"], "map_index", -1)
        files = self._files(owner_digest(provenance_of(self.provenance, context)), map_index)
        with (
            arguments.staged_opt_outs() as opt_outs,
            arguments.staged_source() as staged,
            subtract_opt_outs(staged, opt_outs, settings=arguments.settings) as numbers,
        ):
            numbers.check(guards)
            file_name = files.file_name(numbers.fingerprint) if files and not numbers.fit_into_text else None
            spec = numbers.spec(
                name=self.name,
                remark=self.remark,
                uri=files.uri(file_name) if files and file_name else None,
                phone_format=self.phone_format,
            )
            marker = self.marker(context, client, spec, fingerprint=numbers.fingerprint)
            refresh = self.new_group_refresh(client, spec, marker)
            tidied = refresh.tidy(marker, allow_older_run=self.arguments.allow_older_run)
            current = tidied.current
            verdicts: list[Verdict] = []
            if current and marker.same_content(current.marker):
                # If it is not the newest, a group of another run is being checked, and would replace this one.
                if not force and tidied.is_newest and numbers.were_read(current, spec):
                    if files and deletes_file:
                        self.or_warn(files.remove_all)
                    return refresh.keep(current, tidied, began_epoch_seconds=began, member_counts=numbers.facts)
                self.log.info("The group %s has these numbers: a new one is made all the same.", current.id)
            else:
                verdicts = numbers.judge(guards, current)
            facts = numbers.facts
            if files and file_name:
                facts = facts | {"file_bytes": files.put(file_name, numbers.staged, settings=arguments.settings)}
            try:
                return refresh.begin(
                    spec,
                    marker,
                    tidied,
                    began_epoch_seconds=began,
                    verdicts=verdicts,
                    member_counts=facts,
                    file_name=file_name or "",
                )
            except PermanentError:
                # No further try follows that would remove the file.
                if files and deletes_file and refresh.is_alone(""):
                    self.or_warn(files.remove_all)
                raise

    @property
    def sources_read(self) -> Sequence[Any]:
        """Source and opt-outs."""
        return self.source, self.suppress

    @property
    def limits(self) -> dict[str, float | None]:
        """The guards' limits that bound a group's size, by name."""
        return self._guards.limits

    @property
    def _guards(self) -> Guards:
        from airflow_provider_audiences.sync.guards import Guards
        from airflow_provider_audiences.validation import whole_number

        least = whole_number("min_members", self.min_members, at_least=1)
        return Guards.of(self, allow_empty=False, min_members=least)

    @property
    def _deletes_file(self) -> bool:
        from airflow_provider_audiences.validation import true_or_false

        return true_or_false("delete_file", self.delete_file)

    def check_group(self, group: AudienceGroup, pending: PendingRefresh) -> None:
        """
        Warn if PAI counts other people in the new group than were sent.

        :param group: the new group, which is ready.
        :param pending: state of the refresh.
        """
        members = pending.member_counts["members"]
        if group.amount != members:
            hint = "did it read another file? Check uri_template" if group.amount > members else "it may know fewer"
            people = counted(group.amount, "person", "people")
            sent = counted(members, "was sent", "were sent")
            self.log.warning("PAI counts %s in the group, and %s: %s.", people, sent, hint)

    def clean_up(self, pending: PendingRefresh, refresh: GroupRefresh) -> None:
        """
        Remove this run's file and those of runs that crashed, unless another run is under way: that run removes them.

        :param pending: state of the refresh.
        :param refresh: the refresh, which can tell whether another run is under way.
        """
        files = self._files(pending.owner, pending.map_index)
        if files and self._deletes_file and refresh.is_alone(pending.group_id):
            files.remove_all()

    def is_source_missing(self, pending: PendingRefresh) -> bool:
        """
        Return whether the file for PAI is gone: a run that has just ended may have removed it with its own.

        :param pending: state of the refresh.
        """
        files = self._files(pending.owner, pending.map_index)
        try:
            return files is not None and pending.file_name != "" and not files.has(pending.file_name)
        except AudienceError as error:
            self.log.warning("It can't be told whether the group's file is still there: %s", error)
            return False

    def _files(self, owner: str, map_index: int) -> GroupFiles | None:
        from airflow_provider_audiences.common.pai.group_files import GroupFiles
        from airflow_provider_audiences.validation import required_text

        if not self.stage_path:
            return None
        return GroupFiles(
            self.stage_path,
            conn_id=self.stage_conn_id or None,
            uri_template=self.uri_template or None,
            name=required_text("name", self.name),
            owner=f"{owner} map {map_index}" if map_index >= 0 else owner,
        )
