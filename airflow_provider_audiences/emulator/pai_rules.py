"""The parameters of CreateGroup and ListGroups calls, and their checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .replies import BAD_REQUEST, ApiError, read_json

MAX_TEXT_NUMBERS = 100
MAX_ID_CHARACTERS = 1000
DEFAULT_PAGE_SIZE = 10

SOURCE_TEXT, SOURCE_TEXT_FILE, SOURCE_CSV, SOURCE_MAXCOMPUTE, SOURCE_ALGORITHM = range(5)
STRING_PARAMETERS = (
    "Name",
    "Text",
    "Uri",
    "Project",
    "Table",
    "Column",
    "Filter",
    "Algorithm",
    "InferenceJobId",
    "Remark",
)
SOURCE_REQUIRES: dict[int, tuple[str, ...]] = {
    SOURCE_TEXT: ("Text",),
    SOURCE_TEXT_FILE: ("Uri",),
    SOURCE_CSV: ("Uri",),
    SOURCE_MAXCOMPUTE: ("Project", "Table"),
    SOURCE_ALGORITHM: ("Algorithm", "InferenceJobId"),
}
SOURCE_TAKES: dict[int, frozenset[str]] = {
    SOURCE_TEXT: frozenset({"Text"}),
    SOURCE_TEXT_FILE: frozenset({"Uri"}),
    SOURCE_CSV: frozenset({"Uri", "Column"}),
    SOURCE_MAXCOMPUTE: frozenset({"Project", "Table", "Column", "Filter"}),
    SOURCE_ALGORITHM: frozenset({"Algorithm", "InferenceJobId"}),
}
ALWAYS_TAKEN = frozenset({"Name", "Remark"})
# With phone numbers these have many columns, of which one holds the numbers.
NEEDS_COLUMN = (SOURCE_CSV, SOURCE_MAXCOMPUTE)

_PLAIN_KEY = re.compile(r"[A-Za-z]{1,40}")
_PHONE_NUMBER = re.compile(r"\+?[0-9]{7,15}")
_SEPARATORS = re.compile(r"[ ()\-]")
_INTEGER = re.compile(r"[0-9]{1,9}")
_BUCKET_HOST = re.compile(r"([a-z0-9][a-z0-9\-]{1,61}[a-z0-9])\.[a-z0-9.\-]+\.aliyuncs\.com")


def invalid(name: str, why: str = "") -> ApiError:
    """Return a 400 that names a parameter, and never quotes its value."""
    return ApiError(BAD_REQUEST, f"Invalid parameter: {name}{' ' if why else ''}{why}")


@dataclass(frozen=True, kw_only=True)
class CreateParameters:
    """
    The parameters of a CreateGroup call that passed the checks.

    :param source: 0 text, 1 text file, 2 CSV, 3 MaxCompute, 4 algorithm.
    :param phone_number: whether the members are phone numbers.
    :param strings: all text parameters by name; empty for those that were not sent.
    """

    source: int
    phone_number: bool
    strings: Mapping[str, str]


def read_create_body(
    body: bytes, *, strict: bool = True, known_files: Mapping[str, Any] | None = None
) -> CreateParameters:
    """
    Check the body of a CreateGroup call, and return its parameters.

    :param body: JSON object with flat PascalCase keys.
    :param strict: also refuse parameters that the source does not take; default True.
    :param known_files: addresses that are accepted whatever their form; default none.
    :raises ApiError: 400, with the name of the parameter.
    """
    values = _read_object(body)
    source = values.get("Source")
    if not isinstance(source, int) or isinstance(source, bool) or source not in SOURCE_REQUIRES:
        raise invalid("Source", "must be an integer from 0 to 4")
    phone_number = values.get("PhoneNumber")
    if phone_number is not None and not isinstance(phone_number, bool):
        raise invalid("PhoneNumber", "must be a boolean")
    strings = {name: _read_string(values, name) for name in STRING_PARAMETERS}
    parameters = CreateParameters(source=source, phone_number=bool(phone_number), strings=strings)
    _check_source(parameters, strict=strict)
    if strings["Uri"] and strings["Uri"] not in (known_files or {}):
        bucket_of(strings["Uri"])
    if len(text_lines(strings["Text"])) > MAX_TEXT_NUMBERS:
        raise invalid("Text", f"must hold at most {MAX_TEXT_NUMBERS} phone numbers")
    return parameters


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        values = read_json(body)
    except ValueError:
        raise ApiError(BAD_REQUEST, "The request body is not JSON") from None
    if not isinstance(values, dict):
        raise ApiError(BAD_REQUEST, "The request body is not a JSON object")
    for key in values:
        if key not in STRING_PARAMETERS and key not in ("Source", "PhoneNumber"):
            # A key that doesn't look like one may be data, so it isn't repeated.
            raise ApiError(BAD_REQUEST, f"Unknown parameter: {key if _PLAIN_KEY.fullmatch(key) else '?'}")
    return values


def _read_string(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(name, "must be a string")
    return value or ""


def _check_source(parameters: CreateParameters, *, strict: bool) -> None:
    source, strings = parameters.source, parameters.strings
    required = list(SOURCE_REQUIRES[source])
    if source in NEEDS_COLUMN and parameters.phone_number:
        required.append("Column")
    for name in required:
        if not strings[name].strip():
            raise ApiError(BAD_REQUEST, f"Missing parameter: {name} is required when Source is {source}")
    foreign = [name for name in strings if strings[name] and name not in ALWAYS_TAKEN | SOURCE_TAKES[source]]
    if strict and foreign:
        raise invalid(foreign[0], f"is not taken when Source is {source}")


def bucket_of(uri: str) -> str:
    """
    Return the bucket in a file's address.

    :param uri: address in the form ``https://<bucket>.<region host>.aliyuncs.com/<key>``.
    :raises ApiError: 400, since the address has another form.
    """
    try:
        parts = urlsplit(uri)
        host = _BUCKET_HOST.fullmatch(parts.hostname or "")
    except ValueError:
        raise invalid("Uri", "must be an OSS URI") from None
    plain = parts.scheme in ("http", "https") and "@" not in parts.netloc
    if host is None or not plain or not parts.path.strip("/"):
        raise invalid("Uri", "must be an OSS URI")
    return host.group(1)


def text_lines(text: str) -> list[str]:
    """Return the lines of a text source that are not blank, without surrounding white space."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def is_phone_number(line: str) -> bool:
    """Return whether a line could be dialled; a masked number can't."""
    return _PHONE_NUMBER.fullmatch(plain_number(line)) is not None


def plain_number(line: str) -> str:
    """Return a line without the separators that people put between digits."""
    return _SEPARATORS.sub("", line)


def mask_text(text: str) -> str:
    """Return a text as replies show it, with the last four characters of each line masked."""
    return "\n".join(f"{line[:-4]}****" if len(line) > 4 else "****" for line in text_lines(text))  # noqa: PLR2004


@dataclass(frozen=True, kw_only=True)
class ListParameters:
    """
    The parameters of a ListGroups call that passed the checks. None means no filter.

    :param page_number: number of the page, from 1.
    :param page_size: page size that the caller asked for; the setting ``max_page_size`` may lower it.
    """

    name: str | None
    remark: str | None
    phone_number: bool | None
    source: int | None
    status: int | None
    page_number: int
    page_size: int


def read_list_query(params: Mapping[str, str]) -> ListParameters:
    """
    Return the parameters of a ListGroups call.

    :param params: decoded query of the call; an empty value is no filter.
    :raises ApiError: 400, with the name of the parameter.
    """
    source = _read_integer(params, "Source")
    if source is not None and source not in SOURCE_REQUIRES:
        raise invalid("Source", "must be an integer from 0 to 4")
    page_number = _read_integer(params, "PageNumber")
    page_size = _read_integer(params, "PageSize")
    if page_number == 0:
        raise invalid("PageNumber", "starts at 1")
    if page_size == 0:
        raise invalid("PageSize", "must be at least 1")
    phone_text = params.get("PhoneNumber", "").lower()
    if phone_text not in ("", "true", "false"):
        raise invalid("PhoneNumber", "must be a boolean")
    return ListParameters(
        name=params.get("Name") or None,
        remark=params.get("Remark") or None,
        phone_number=phone_text == "true" if phone_text else None,
        source=source,
        status=_read_integer(params, "Status"),
        page_number=1 if page_number is None else page_number,
        page_size=DEFAULT_PAGE_SIZE if page_size is None else page_size,
    )


def _read_integer(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise invalid(name, "must be a non-negative integer")
    return int(text)
