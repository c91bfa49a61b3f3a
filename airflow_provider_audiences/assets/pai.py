"""Assets of Alibaba PAI: audience groups. DAGs can be scheduled on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.assets.airflow_assets import asset_of
from airflow_provider_audiences.assets.uris import uri_of
from airflow_provider_audiences.common.targets import GROUP

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset


def group_asset(name: str, *, account: str = "pai_default") -> Asset:
    """
    Return the asset of the groups of a name, as the operators make it.

    :param name: name of the group.
    :param account: the operators' ``account``, or their connection, if they are given none; default ``pai_default``.
    :raises InvalidInputError: an argument is blank.
    """
    return asset_of(uri_of(GROUP, name, account=account))


def create_asset(*, account: str, group: str, extra: Mapping[str, Any] | None = None) -> Asset:
    """
    Return an asset of PAI. Airflow's lineage calls this.

    :param account: account of the group.
    :param group: name of the group.
    :param extra: what Airflow shows of the asset; None (default) for nothing.
    """
    return asset_of(uri_of(GROUP, group, account=account), extra=extra)
