"""
Members removed or added by hand: by the operators for single changes, and not by a sync.

Syncs respect both: a member removed by hand is not added again as long as the source has it, and a member added by hand
is not removed. So a request to be forgotten is not undone by the next sync, and extra members of a campaign stay.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
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
    """The part of a plan that :meth:`ManualChanges.after` needs."""

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
        """Members removed by hand who stay held back; None if the plan releases nobody."""


@dataclass(frozen=True, kw_only=True)
class ManualChanges:
    """
    Members that were removed or added by hand.

    :param held_back: members removed by hand; syncs don't add them as long as the source has them.
    :param added_by_hand: members added by hand; syncs don't remove them when the source lacks them.
    """

    held_back: KeySet
    added_by_hand: KeySet

    def __bool__(self) -> bool:
        return bool(self.held_back.count or self.added_by_hand.count)

    @classmethod
    def none(cls, workspace: Workspace) -> Self:
        """
        Return that nobody was removed or added by hand.

        :param workspace: workspace for the empty sets.
        """
        return cls(held_back=empty_key_set(workspace), added_by_hand=empty_key_set(workspace))

    def with_removed(self, keys: KeySet, workspace: Workspace) -> ManualChanges:
        """
        Return the changes after a removal by hand.

        :param keys: the members that are removed.
        :param workspace: workspace in which new sets are made.
        """
        return ManualChanges(
            held_back=union(self.held_back, keys, workspace),
            added_by_hand=difference(self.added_by_hand, keys, workspace),
        )

    def with_added(self, keys: KeySet, workspace: Workspace, *, replaces: bool) -> ManualChanges:
        """
        Return the changes after an update or append by hand.

        :param keys: the members that are added.
        :param workspace: workspace in which new sets are made.
        :param replaces: whether these members replace the audience's whole content.
        """
        return ManualChanges(
            held_back=difference(self.held_back, keys, workspace),
            added_by_hand=keys if replaces else union(self.added_by_hand, keys, workspace),
        )

    def after(self, sent: Sent, *, ledger: KeySet, workspace: Workspace) -> ManualChanges:
        """
        Return the changes after a sync.

        A member is no longer held back once the source lacks it, or once a plan has added it all the same. A member no
        longer counts as added by hand once it has left the audience.

        :param sent: the plan that the sync has carried out.
        :param ledger: members that may have been in the audience before the sync.
        :param workspace: workspace in which new sets are made.
        """
        held_back = self.held_back if sent.held_back is None else sent.held_back
        held_back = difference(held_back, sent.additions, workspace)
        added_by_hand = (
            empty_key_set(workspace) if sent.replaces else difference(self.added_by_hand, sent.removals, workspace)
        )
        return ManualChanges(held_back=held_back, added_by_hand=intersection(added_by_hand, ledger, workspace))


class ManualChangesBuilder:
    """
    Puts the changes of any number of states together; a context manager. As many files are open as for one state.

    :param workspace: workspace in which the sets are made.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._stack = ExitStack()
        self._held_back, self._added_by_hand = (
            KeySetBuilder(Path(mkdtemp(dir=workspace.folder)), key_bytes=workspace.key_bytes) for _ in range(2)
        )

    def __enter__(self) -> Self:
        for builder in (self._held_back, self._added_by_hand):
            self._stack.enter_context(builder)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def add(self, changes: ManualChanges) -> None:
        """
        Add the changes of a state.

        :param changes: the changes; they are not needed afterwards.
        """
        for builder, keys in (
            (self._held_back, changes.held_back),
            (self._added_by_hand, changes.added_by_hand),
        ):
            for (rows,) in side_by_side(keys):
                builder.add(keys.rows(rows).keys)

    def finish(self) -> ManualChanges:
        """Return all changes, which can be read until the block ends."""
        return ManualChanges(
            held_back=self._held_back.finish().as_set(), added_by_hand=self._added_by_hand.finish().as_set()
        )
