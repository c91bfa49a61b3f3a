"""
The table of ad platforms and of kinds of targets: audience, suppression list, group.

Assets, the command line, notices, lineage, metrics, task groups and the page Audiences read it, and name no platform
themselves. A new platform of this package gets its entry here; one of another package has an entry point of the group
:data:`ENTRY_POINTS`. This module imports next to nothing, because DAG files and Airflow's command line import it.
"""

from __future__ import annotations

import logging
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

log = logging.getLogger(__name__)

ENTRY_POINTS = "airflow_provider_audiences.target_kinds"
"""
Group of the entry points by which other packages bring platforms: each leads to a :class:`TargetKind` or a sequence of
them.
"""

_PACKAGE = "airflow_provider_audiences"


@dataclass(frozen=True, kw_only=True)
class AdPlatform:
    """
    An ad platform.

    :param name: its name in one word: scheme of its assets' URIs, and value of ``platform`` in events and metrics.
    :param title: its name, as people write it.
    :param conn_types: types of Airflow connections that its hook takes; the first one is this provider's own.
    :param hook: import path of its hook.
    """

    name: str
    title: str
    conn_types: tuple[str, ...]
    hook: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*", self.name):
            raise ValueError(f"a platform's name is one word of a-z and 0-9, and not {self.name!r}")
        if not self.conn_types:
            raise ValueError(f"the platform {self.name} has no type of connections")

    @property
    def conn_argument(self) -> str:
        """Name of the operators' argument with the connection."""
        return f"{self.name}_conn_id"

    @property
    def hook_class(self) -> Any:
        """The class of its hook."""
        return pkgutil.resolve_name(self.hook)


@dataclass(frozen=True, kw_only=True)
class TargetKind:
    """
    A kind of target, which tasks write to: an audience, a suppression list or a group.

    :param platform: platform that has such targets.
    :param name: what it is, in one word: value of ``kind`` in events and metrics.
    :param title: what it is, as people write it at the beginning of a line.
    :param folder: first segment of the path of its assets' URIs.
    :param named_by: what the second segment is, as messages call it: an operator's argument, or several.
    :param sync_operator: import path of the operator that makes such a target equal its source; None if targets of
        this kind are not synced member by member.
    """

    platform: AdPlatform
    name: str
    title: str
    folder: str
    named_by: str
    sync_operator: str | None = None

    @property
    def full_name(self) -> str:
        """Its name among the kinds of all platforms, such as ``applovin-audience``, as the command line has it."""
        return f"{self.platform.name}-{self.name}".replace("_", "-")

    @property
    def sync_operator_class(self) -> Any:
        """The class of the operator that makes such a target equal its source."""
        if self.sync_operator is None:
            raise AssertionError(f"no operator syncs a target of the kind {self.name}")
        return pkgutil.resolve_name(self.sync_operator)


APPLOVIN = AdPlatform(
    name="applovin", title="AppLovin", conn_types=("applovin",), hook=f"{_PACKAGE}.hooks.applovin:AppLovinHook"
)
PAI = AdPlatform(
    name="pai", title="Alibaba PAI", conn_types=("pai", "alibaba_cloud"), hook=f"{_PACKAGE}.hooks.pai:PaiHook"
)
AUDIENCE = TargetKind(
    platform=APPLOVIN,
    name="audience",
    title="Audience",
    folder="audiences",
    named_by="audience_id or name",
    sync_operator=f"{_PACKAGE}.operators.applovin_sync:AppLovinSyncAudienceOperator",
)
SUPPRESSION_LIST = TargetKind(
    platform=APPLOVIN,
    name="suppression_list",
    title="Suppression list",
    folder="suppression",
    named_by="package_name",
    sync_operator=f"{_PACKAGE}.operators.applovin_suppression:AppLovinSyncSuppressionOperator",
)
GROUP = TargetKind(platform=PAI, name="group", title="Group", folder="groups", named_by="name")
OWN_KINDS = (AUDIENCE, SUPPRESSION_LIST, GROUP)
"""Kinds of targets of this package."""


@cache
def target_kinds() -> tuple[TargetKind, ...]:
    """
    Return all kinds of targets: those of this package, and of other packages those that are installed.

    A package whose entry point can't be loaded, or whose kinds are named as others are, is left out with a warning:
    it must not stop the tasks of the other platforms.
    """
    from importlib.metadata import entry_points

    found = list(OWN_KINDS)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.value):
        try:
            loaded = entry.load()
            kinds = [loaded] if isinstance(loaded, TargetKind) else list(loaded)
            _refuse_clashes(found, kinds)
        except Exception as error:  # noqa: BLE001 - whatever the other package raises
            why = f"{type(error).__name__}: {error}"
            log.warning("The ad platform of the entry point %s is left out: %s", entry.value, why)
        else:
            found += kinds
    return tuple(found)


def _refuse_clashes(known: list[TargetKind], more: list[TargetKind]) -> None:
    known = list(known)
    for kind in more:
        if not isinstance(kind, TargetKind):
            raise TypeError(f"it leads to a {type(kind).__name__}, and not to a TargetKind")
        own, others = kind.platform, [other.platform for other in known]
        if any(kind.full_name == other.full_name or _place(kind) == _place(other) for other in known):
            raise ValueError(f"{kind.full_name} is named as another one")
        if any(own != other and own.name == other.name for other in others):
            raise ValueError(f"the platform {own.name} is named as another one")
        if any(own != other and own.conn_types[0] in other.conn_types for other in others):
            raise ValueError(f"the connection type {own.conn_types[0]} is another platform's")
        known.append(kind)


def _place(kind: TargetKind) -> tuple[str, str]:
    """Return what the URI of a kind's assets begins with: scheme and folder."""
    return kind.platform.name, kind.folder


@cache
def platforms() -> tuple[AdPlatform, ...]:
    """Return all ad platforms, in the order of :func:`target_kinds`."""
    return tuple(dict.fromkeys(kind.platform for kind in target_kinds()))


@cache
def synced_kinds() -> dict[str, TargetKind]:
    """Return the kinds of targets that are synced member by member, by their full names."""
    return {kind.full_name: kind for kind in target_kinds() if kind.sync_operator is not None}


def platform_of_connection(conn_type: str | None) -> AdPlatform | None:
    """
    Return the platform whose hook takes connections of a type; None if there is none.

    :param conn_type: type of the connection.
    """
    return next((platform for platform in platforms() if conn_type in platform.conn_types), None)
