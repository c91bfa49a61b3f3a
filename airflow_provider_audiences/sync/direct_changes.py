"""
Members removed or added directly: by the operators for single changes, and not by a sync.

Syncs respect both: a member removed directly is not added again as long as the source has it, and a member added
directly is not removed. So a request to be forgotten is not undone by the next sync, and extra members of a campaign
stay.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Protocol, Self

from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import side_by_side
from airflow_provider_audiences.members.keys.key_sets import difference, empty_key_set, intersection, union

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_set import KeySet
    from airflow_provider_audiences.members.workspace import Workspace


class Sent(Protocol):
    """The part of a plan that :meth:`DirectChanges.after` needs."""

    @property
    def replaces(self) -> bool:
        """Whether the first request replaces the audience's content."""

    @property
    def additions(self) -> KeySet:
        """Members that the plan sends."""

    @property
    def removals(self) -> KeySet:
        """Members that the plan removes."""

    @property
    def held_back(self) -> KeySet | None:
        """Members removed directly who stay held back; None if the plan releases nobody."""


@dataclass(frozen=True, kw_only=True)
class DirectChanges:
    """
    Members that were removed or added directly.

    :param held_back: members removed directly; syncs don't add them as long as the source has them.
    :param added_directly: members added directly; syncs don't remove them when the source lacks them.
    """

    held_back: KeySet
    added_directly: KeySet

    def __bool__(self) -> bool:
        return bool(self.held_back.count or self.added_directly.count)

    @classmethod
    def none(cls, workspace: Workspace) -> Self:
        """
        Return that nobody was removed or added directly.

        :param workspace: workspace for the empty sets.
        """
        return cls(held_back=empty_key_set(workspace), added_directly=empty_key_set(workspace))

    def with_removed(self, keys: KeySet, workspace: Workspace) -> DirectChanges:
        """
        Return the changes after a direct removal.

        :param keys: the members that are removed.
        :param workspace: workspace in which new sets are made.
        """
        return DirectChanges(
            held_back=union(self.held_back, keys, workspace),
            added_directly=difference(self.added_directly, keys, workspace),
        )

    def with_added(self, keys: KeySet, workspace: Workspace, *, replaces: bool) -> DirectChanges:
        """
        Return the changes after a direct update or append.

        :param keys: the members that are added.
        :param workspace: workspace in which new sets are made.
        :param replaces: whether these members replace the audience's whole content.
        """
        return DirectChanges(
            held_back=difference(self.held_back, keys, workspace),
            added_directly=keys if replaces else union(self.added_directly, keys, workspace),
        )

    def released_by(self, additions: KeySet, workspace: Workspace) -> DirectChanges | None:
        """
        Return the changes once a sync has begun to add members; None if that changes nothing.

        Whoever was held back and is added was released. That holds from the beginning on: if the sync is cut off, the
        next one must not take them for members who are held back, and remove them.

        :param additions: members that the sync adds.
        :param workspace: workspace in which new sets are made.
        """
        held_back = difference(self.held_back, additions, workspace)
        return None if held_back.count == self.held_back.count else replace(self, held_back=held_back)

    def after(self, sent: Sent, *, ledger: KeySet, workspace: Workspace) -> DirectChanges:
        """
        Return the changes after a sync.

        A member is no longer held back once the source lacks it, or once a plan has added it all the same. A member no
        longer counts as added directly once it has left the audience.

        :param sent: the plan that the sync has carried out.
        :param ledger: members that may have been in the audience before the sync.
        :param workspace: workspace in which new sets are made.
        """
        held_back = self.held_back if sent.held_back is None else sent.held_back
        held_back = difference(held_back, sent.additions, workspace)
        added_directly = (
            empty_key_set(workspace) if sent.replaces else difference(self.added_directly, sent.removals, workspace)
        )
        return DirectChanges(held_back=held_back, added_directly=intersection(added_directly, ledger, workspace))


class DirectChangesBuilder:
    """
    Puts the changes of any number of states together; a context manager. As many files are open as for one state.

    :param workspace: workspace in which the sets are made.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._stack = ExitStack()
        self._held_back, self._added_directly = (
            KeySetBuilder(Path(mkdtemp(dir=workspace.folder)), key_bytes=workspace.key_bytes) for _ in range(2)
        )

    def __enter__(self) -> Self:
        for builder in (self._held_back, self._added_directly):
            self._stack.enter_context(builder)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def add(self, changes: DirectChanges) -> None:
        """
        Add the changes of a state.

        :param changes: the changes; they are not needed afterwards.
        """
        for builder, keys in (
            (self._held_back, changes.held_back),
            (self._added_directly, changes.added_directly),
        ):
            for (rows,) in side_by_side(keys):
                builder.add(keys.rows(rows).keys)

    def finish(self) -> DirectChanges:
        """Return all changes, which can be read until the block ends."""
        return DirectChanges(
            held_back=self._held_back.finish().as_set(), added_directly=self._added_directly.finish().as_set()
        )
