"""What can be set while the emulator runs, with the check of each value."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], bool]


class SettingsError(ValueError):
    """A setting has an unknown name or a value that it can't take."""


MAX_NUMBER = 2**53
"""What JSON's readers agree on; sums of such numbers can be written, too."""

LATEST_SECONDS = 250_000_000_000
"""The year 9892: what runs on from there for a lifetime is still a date."""


def is_integer(value: object) -> bool:
    """:return: whether the value is an integer that any reader of JSON takes (a boolean is not)"""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def is_count(value: object) -> bool:
    """:return: whether the value is an integer of at least 0 (a boolean is not)"""
    return is_integer(value) and value >= 0  # type: ignore[operator]


def is_positive(value: object) -> bool:
    """:return: whether the value is an integer of at least 1"""
    return is_count(value) and value != 0


def is_seconds(value: object) -> bool:
    """:return: whether the value is a number from 0 to what dates can hold"""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST_SECONDS


def is_flag(value: object) -> bool:
    """:return: whether the value is a boolean"""
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
    How the emulated services behave. Names ending in ``_seconds`` are seconds of the emulator's clock.

    :param ios_list_shows_itunes_id: list shows a made-up iTunes ID as package name of iOS audiences
    :param user_count_lag_seconds: list shows the user counts that were true this long ago
    :param suppression_api_key: the only key of suppression lists; None for that of audiences
    :param max_body_ids: update, append and suppression calls answer 413 to more lines than this; None takes any number
    :param allow_empty_body: whether update and append take a body without a single ID
    :param processing_seconds: how long a new group stays unchecked; 0 means that it never is
    :param final_status: the status of a checked group that is not rejected
    :param reject_names: names of groups that are rejected
    :param maxcompute: people by project and table; what is not named does not exist
    :param files: people by file address; an address named here is taken whatever its form
    :param file_roots: for beginnings of file addresses, the folder or web address below which such files are
        really read and counted, unless ``files`` names them
    :param default_file_amount: people in a file that ``files`` does not name; with ``file_roots`` there is no such file
    :param default_algorithm_amount: people that an algorithm finds
    :param forbidden_projects: MaxCompute projects that the account may not read
    :param forbidden_buckets: OSS buckets that the account may not read
    :param strict_source_parameters: refuse parameters that the group's source does not take
    :param fuzzy_filters: list filters by part of a name or remark, else by all of it
    :param max_page_size: list answers at most this many groups on a page
    :param qps: PAI calls taken in any one second of real time; None switches the limit off
    :param list_without_auth: list takes requests without an Authorization header
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
        :param changes: new values by name
        :return: a copy with these changes
        :raises SettingsError: for an unknown name or a value that the setting can't take
        """
        unknown = sorted(set(changes) - {item.name for item in fields(self)})
        if unknown:
            raise SettingsError(f"Unknown setting: {', '.join(unknown)}")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """:return: every setting by name, ready for JSON"""
        return asdict(self)
