"""Assets of AppLovin: audiences, and apps' suppression lists. DAGs can be scheduled on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.assets.airflow_assets import asset_of
from airflow_provider_audiences.assets.uris import uri_of
from airflow_provider_audiences.common.targets import AUDIENCE, SUPPRESSION_LIST
from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset


def audience_asset(audience: str, *, account: str = "applovin_default") -> Asset:
    """
    Return the asset of an audience, as the operators make it.

    :param audience: the ``audience_id`` that the operators are given, or the ``name``, if they are given no id.
    :param account: the operators' ``account``, or their connection, if they are given none; default
        ``applovin_default``.
    :raises InvalidInputError: an argument is blank.
    """
    return asset_of(uri_of(AUDIENCE, audience, account=account))


def suppression_asset(package_name: str, *, account: str = "applovin_default") -> Asset:
    """
    Return the asset of an app's suppression list, as the operators make it.

    :param package_name: package name or bundle ID of the app.
    :param account: the operators' ``account``, or their connection, if they are given none; default
        ``applovin_default``.
    :raises InvalidInputError: an argument is blank.
    """
    return asset_of(uri_of(SUPPRESSION_LIST, package_name, account=account))


def create_asset(
    *,
    account: str,
    audience: str | None = None,
    package_name: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Asset:
    """
    Return an asset of AppLovin. Airflow's lineage calls this.

    :param account: account of the audience or the list.
    :param audience: id or name of an audience; None if it is a list.
    :param package_name: package name of an app with a suppression list; None if it is an audience.
    :param extra: what Airflow shows of the asset; None (default) for nothing.
    :raises InvalidInputError: both or neither of ``audience`` and ``package_name`` are given.
    """
    if (audience is None) == (package_name is None):
        raise InvalidInputError("give either audience or package_name")
    if audience is not None:
        return asset_of(uri_of(AUDIENCE, audience, account=account), extra=extra)
    return asset_of(uri_of(SUPPRESSION_LIST, package_name or "", account=account), extra=extra)
