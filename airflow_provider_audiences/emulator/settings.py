"""The emulator's settings, which can be changed while it runs, and the checks of their values."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], bool]


class SettingsError(ValueError):
    """A setting that does not exist, or a value that it can't have."""


MAX_NUMBER = 2**53
"""Largest integer that all JSON readers agree on; sums of such numbers can be written, too."""

LATEST_SECONDS = 250_000_000_000
"""Latest time, in the year 9892: a lifetime later is still a valid date."""


def is_integer(value: object) -> bool:
    """Return whether a value is an integer that every JSON reader accepts; a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_count(value: object) -> bool:
    """Return whether a value is an integer of at least 0; a boolean is not."""
    return is_integer(value) and value >= 0  # type: ignore[operator]


def is_positive(value: object) -> bool:
    """Return whether a value is an integer of at least 1."""
    return is_count(value) and value != 0


def is_seconds(value: object) -> bool:
    """Return whether a value is a number from 0 to the latest time that dates can be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST_SECONDS


def is_flag(value: object) -> bool:
    """Return whether a value is a boolean."""
    return isinstance(value, bool)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value) and " " not in value


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_amounts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and is_count(v) for k, v in value.items())


def _is_root(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # refuses what is no port
    except ValueError:
        return False
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment
    return PurePath(value).is_absolute()


def _is_roots(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and k and _is_root(v) for k, v in value.items())


def _is_tables(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and _is_amounts(v) for k, v in value.items())


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _flag(default: bool) -> Any:
    return field(default=default, metadata={"check": is_flag, "wants": "true or false"})


def _count(default: int) -> Any:
    return field(default=default, metadata={"check": is_count, "wants": "an integer of at least 0"})


def _limit(default: int | None) -> Any:
    wants = "an integer of at least 1, or null for no limit"
    return field(default=default, metadata={"check": _or_none(is_positive), "wants": wants})


def _seconds(default: float) -> Any:
    return field(default=default, metadata={"check": is_seconds, "wants": "a number of seconds of at least 0"})


def _names() -> Any:
    return field(default=(), metadata={"check": _is_names, "wants": "a list of strings"})


def _demo_tables() -> dict[str, dict[str, int]]:
    return {"demo_project": {"vip_customers": 1200, "recent_buyers": 25000, "nobody": 0}}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    How the emulated services behave. Names that end in ``_seconds`` are seconds of the emulator's clock.

    :param ios_list_shows_itunes_id: the list shows a made-up iTunes ID as package name of iOS audiences.
    :param user_count_lag_seconds: the list shows the user counts of this long ago.
    :param suppression_api_key: key of the suppression service; None for the key of the audience service.
    :param max_body_ids: most lines in an update, append or suppression call, after which it gets a 413; None for no
        limit.
    :param allow_empty_body: whether update and append accept a body without an ID.
    :param processing_seconds: how long a new group is unchecked; 0 for not at all.
    :param final_status: Status of a group that was checked and not rejected.
    :param reject_names: names of groups that are rejected.
    :param maxcompute: number of people by project and table; other tables don't exist.
    :param files: number of people by file address; such an address may have any form.
    :param file_roots: folder or web address that stands for each beginning of file addresses. Files below are really
        read and counted, unless ``files`` has them.
    :param default_file_amount: number of people in a file that ``files`` does not have; with ``file_roots`` such a file
        is missing.
    :param default_algorithm_amount: number of people that an algorithm finds.
    :param forbidden_projects: MaxCompute projects that the account may not read.
    :param forbidden_buckets: OSS buckets that the account may not read.
    :param strict_source_parameters: refuse parameters that the group's source does not take.
    :param fuzzy_filters: list filters match a part of a name or remark; otherwise they match all of it.
    :param max_page_size: most groups on a page of a list.
    :param qps: most PAI calls in any one second of real time; None for no limit.
    :param list_without_auth: the list accepts requests without an Authorization header.
    """

    ios_list_shows_itunes_id: bool = _flag(False)
    user_count_lag_seconds: float = _seconds(0)
    suppression_api_key: str | None = field(
        default=None, metadata={"check": _or_none(_is_key), "wants": "text without spaces, or null"}
    )
    max_body_ids: int | None = _limit(None)
    allow_empty_body: bool = _flag(True)
    processing_seconds: float = _seconds(5)
    final_status: int = _count(1)
    reject_names: tuple[str, ...] = _names()
    maxcompute: Mapping[str, Mapping[str, int]] = field(
        default_factory=_demo_tables,
        metadata={"check": _is_tables, "wants": "an object of projects, each an object of amounts by table"},
    )
    files: Mapping[str, int] = field(
        default_factory=dict,
        metadata={"check": _is_amounts, "wants": "an object of amounts by file address"},
    )
    file_roots: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "check": _is_roots,
            "wants": "an object of absolute folders, or http addresses without user and query, by address prefix",
        },
    )
    default_file_amount: int = _count(1000)
    default_algorithm_amount: int = _count(500)
    forbidden_projects: tuple[str, ...] = _names()
    forbidden_buckets: tuple[str, ...] = _names()
    strict_source_parameters: bool = _flag(True)
    fuzzy_filters: bool = _flag(True)
    max_page_size: int = field(default=100, metadata={"check": is_positive, "wants": "an integer of at least 1"})
    qps: int | None = _limit(100)
    list_without_auth: bool = _flag(False)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not item.metadata["check"](value):
                raise SettingsError(f"{item.name} must be {item.metadata['wants']}")
            if isinstance(value, list):
                object.__setattr__(self, item.name, tuple(value))

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """
        Return a copy with changes.

        :param changes: new values by name.
        :raises SettingsError: a setting does not exist, or can't have the value.
        """
        unknown = sorted(set(changes) - {item.name for item in fields(self)})
        if unknown:
            raise SettingsError(f"Unknown setting: {', '.join(unknown)}")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings by name, as JSON values."""
        return asdict(self)
