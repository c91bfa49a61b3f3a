"""What the command line knows of each platform: its connection types and hooks, and the operators that sync."""

from __future__ import annotations

import pkgutil
from typing import Any

_PACKAGE = "airflow_provider_audiences"
_HOOKS = {
    "applovin": f"{_PACKAGE}.hooks.applovin:AppLovinHook",
    "pai": f"{_PACKAGE}.hooks.pai:PaiHook",
    "alibaba_cloud": f"{_PACKAGE}.hooks.pai:PaiHook",
}
_SYNCS = {
    "audience": f"{_PACKAGE}.operators.applovin_sync:AppLovinSyncAudienceOperator",
    "suppression list": f"{_PACKAGE}.operators.applovin_suppression:AppLovinSyncSuppressionOperator",
}

CONNECTION_TYPES = ("applovin", "pai")
"""Connection types of this provider; other types that its hooks take belong to other providers as well."""


def hook_of(conn_type: str) -> Any:
    """
    Return the class of the hook that takes connections of a type; None if there is none.

    :param conn_type: type of the connection.
    """
    path = _HOOKS.get(conn_type)
    return path and pkgutil.resolve_name(path)


def sync_operator_of(kind: str) -> Any:
    """
    Return the class of the operator that syncs targets of a kind.

    :param kind: ``audience`` or ``suppression list``.
    """
    return pkgutil.resolve_name(_SYNCS[kind])
