"""An operator's arguments about changes that are handed in: who is added, refreshed and removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings
from airflow_provider_audiences.sources.member_arguments import naming_argument, opened_argument
from airflow_provider_audiences.sources.staging import staging_settings
from airflow_provider_audiences.sync.changes import StagedChanges


@dataclass(frozen=True, kw_only=True)
class ChangeArguments:
    """
    An operator's checked arguments about changes; :meth:`of` checks them.

    :param sources: values of the operator's fields by name, masked or not, without those that were not given.
    :param identifier_kind: identifier kind of the members.
    :param rules: what to do about texts that are no members.
    :param settings: memory and disk to use.
    """

    sources: Mapping[str, Any] = field(repr=False)
    identifier_kind: IdentifierKind
    rules: StagingRules
    settings: StagingSettings

    @classmethod
    def of(cls, operator: Any, *, names: tuple[str, ...], identifier_kind: IdentifierKind) -> ChangeArguments:
        """
        Return an operator's arguments after checking them. No file or table is opened yet.

        :param operator: operator with these attributes, ``on_malformed`` and ``max_malformed_ratio``.
        :param names: names of the arguments with members.
        :param identifier_kind: identifier kind of the members.
        :raises InvalidInputError: an argument is wrong, or none of them was given.
        """
        sources = {name: value for name in names if (value := getattr(operator, name)) is not None}
        if not sources:
            raise InvalidInputError(f"give at least one of {', '.join(names)}; nothing was sent")
        return cls(
            sources=sources,
            identifier_kind=identifier_kind,
            rules=StagingRules(on_malformed=operator.on_malformed, max_malformed_ratio=operator.max_malformed_ratio),
            settings=staging_settings(),
        )

    @contextmanager
    def staged(self) -> Iterator[StagedChanges]:
        """
        Stage the changes for the block.

        :raises InvalidInputError: a source can't be read, the rules refuse it, or none of its texts is a member.
        """
        with ExitStack() as stack:
            staged = {}
            for name, value in self.sources.items():
                with naming_argument(name):
                    opened = stack.enter_context(opened_argument(name, value, self.identifier_kind))
                    staged[name] = stack.enter_context(
                        stage(
                            opened,
                            rules=replace(self.rules, argument=name),
                            identifier_kind=self.identifier_kind,
                            settings=self.settings,
                        )
                    )
                    staged[name].refuse_without_members(of=f"the texts of {name}")
            yield StagedChanges(**staged)
