"""The mixin of tasks whose arguments name a target: an audience, a suppression list or a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.assets.airflow_assets import asset_of, given_asset
from airflow_provider_audiences.assets.uris import uri_of
from airflow_provider_audiences.common.rendering import ResolveMixin, is_template
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import given_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

    from airflow_provider_audiences.assets.events import WriteTarget
    from airflow_provider_audiences.common.targets import TargetKind


class TargetMixin:
    """Mixin of operators whose arguments say which target they are about."""

    target_kind: TargetKind
    operation: ClassVar[str]
    """What the operator does, in one word, for events."""
    target_arguments: ClassVar[tuple[str, ...]]
    """Names of the arguments with the id or name of what is written to; the first one that is given counts."""
    account: str | None
    asset: Any
    notified_as: str | None = None
    """Id of the task whose changes of state are notified together with this one's; None for this task alone."""

    @property
    def publishes_outcome(self) -> bool:
        """
        Whether the task tells Airflow how it ends: by an event of the asset, in the asset's state store, and by
        metrics. A task that only plans or counts does not.
        """
        return not (is_on(getattr(self, "plan_only", False)) or is_on(getattr(self, "is_dry_run", False)))

    @property
    def write_target(self) -> WriteTarget:
        """What the task writes to, and how."""
        from airflow_provider_audiences.assets.events import WriteTarget

        return WriteTarget(
            target_kind=self.target_kind,
            target=self._target() or "",
            operation=self.operation,
            conn_id=getattr(self, self.conn_argument()),
        )

    @property
    def known_asset(self) -> Asset | None:
        """The asset that the task writes to; None if the arguments don't say which it is."""
        return self._own_asset() if self.asset is None else given_asset(self.asset)

    @classmethod
    def conn_argument(cls) -> str:
        """Return the name of the argument with the connection."""
        return cls.target_kind.platform.conn_argument

    @classmethod
    def asset_arguments(cls) -> frozenset[str]:
        """Return the names of the arguments that say whether and where to the task writes."""
        return frozenset({*cls.target_arguments, "account", cls.conn_argument(), "plan_only", "is_dry_run"})

    @property
    def is_asset_rendered(self) -> bool:
        """Whether no argument that says where to the task writes is a template, or another task's output, any more."""
        values = [getattr(self, name, None) for name in self.asset_arguments()]
        return not any(is_template(value) or isinstance(value, ResolveMixin) for value in values)

    def _own_asset(self) -> Asset | None:
        """Return the asset that id or name says; None if there is neither."""
        target = self._target()
        try:
            return None if target is None else asset_of(uri_of(self.target_kind, target, account=self._account))
        except InvalidInputError:  # too long, or no text: what runs says so where it matters
            return None

    @property
    def _account(self) -> Any:
        return getattr(self, self.conn_argument()) if self.account is None else self.account

    def _target(self) -> str | None:
        """Return the id or name of what is written to; None if it is not known, such as output of another task."""
        try:
            values = {name: getattr(self, name) for name in self.target_arguments}
            texts = (given_text(name, value) for name, value in values.items() if isinstance(value, str | int))
            return next((text for text in texts if text is not None), None)
        except InvalidInputError:
            return None


def is_on(value: object) -> bool:
    """
    Return whether a switch is on, as far as the DAG file says.

    :param value: value of the argument: a bool, or a text.
    """
    return str(value).strip().lower() == "true"
