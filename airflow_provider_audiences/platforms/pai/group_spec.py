"""
The parameters of CreateGroup, with the checks that are possible before it is sent.

Source of every statement about the API: Alibaba Cloud's PAI audience management document (PaiPlugin, version
2022-01-12). A failed CreateGroup is billed, so each source's parameters are checked here first.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.phone_number import (
    PHONE_FORMAT_RULE,
    PhoneFormat,
    normalise_phone_numbers,
)
from airflow_provider_audiences.redaction import MaskedLines, forgetting_locals
from airflow_provider_audiences.validation import (
    MAX_NAME_CHARACTERS,
    api_integer,
    exact_text,
    given_text,
    not_longer,
    shown,
    true_or_false,
)

log = logging.getLogger(__name__)

MAX_TEXT_NUMBERS = 100


class PaiSource(IntEnum):
    """The kind of data that a group is made from."""

    TEXT = 0
    TEXT_FILE = 1
    CSV = 2
    MAXCOMPUTE = 3
    ALGORITHM = 4


_REQUIRED: dict[PaiSource, tuple[str, ...]] = {
    PaiSource.TEXT: ("text",),
    PaiSource.TEXT_FILE: ("uri",),
    PaiSource.CSV: ("uri",),
    PaiSource.MAXCOMPUTE: ("project", "table"),
    PaiSource.ALGORITHM: ("algorithm", "inference_job_id"),
}
_OPTIONAL: dict[PaiSource, tuple[str, ...]] = {
    PaiSource.CSV: ("column",),
    PaiSource.MAXCOMPUTE: ("column", "filter"),
}
_SOURCE_PARAMETERS = ("text", "uri", "project", "table", "column", "filter", "algorithm", "inference_job_id")
_NAMES = ("name", "project", "table", "column", "algorithm", "inference_job_id")
_NEEDS_COLUMN = (PaiSource.CSV, PaiSource.MAXCOMPUTE)
_BUCKET_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_SIGNED_URL_PARAMETERS = ("Signature=", "OSSAccessKeyId=", "x-oss-signature=", "security-token=")


def parse_source(value: object) -> PaiSource:
    """
    Return a source from the enum, its number, or its number as text.

    :param value: value that the user gave.
    :raises InvalidInputError: there is no such source.
    """
    number = api_integer(value)
    if number in {member.value for member in PaiSource}:
        return PaiSource(number)
    choices = ", ".join(f"{member.value} ({member.name.lower()})" for member in PaiSource)
    raise InvalidInputError(
        f"source must be one of {choices}, not {shown(value)}; numbers of a file, a table or a query are what "
        "PaiSyncGroupOperator takes"
    )


@dataclass(frozen=True, kw_only=True)
class GroupSpec:
    """
    The parameters of CreateGroup, under the API's names in snake_case.

    :param source: kind of data that the group is made from; it decides which other parameters are needed.
    :param name: name of the group.
    :param text: phone numbers, one a line, at most 100; masked as soon as the spec is made.
    :param uri: OSS address of a text or CSV file.
    :param phone_number: whether the group contains phone numbers (Reach campaigns need them).
    :param project: MaxCompute project with the table.
    :param table: MaxCompute table with the members.
    :param column: column with the phone numbers, for a CSV file or a table with phone numbers.
    :param filter: condition on the MaxCompute table, such as ``ds=20220101``; never empty.
    :param algorithm: name of the algorithm that predicts the members.
    :param inference_job_id: id of the algorithm's prediction job.
    :param remark: free text; the marker is appended to it.
    """

    source: PaiSource
    name: str | None = None
    text: str | MaskedLines | None = None
    uri: str | None = field(default=None, repr=False)
    phone_number: bool | None = None
    project: str | None = None
    table: str | None = None
    column: str | None = None
    filter: str | None = None
    algorithm: str | None = None
    inference_job_id: str | None = None
    remark: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.text, str):
            object.__setattr__(self, "text", MaskedLines(self.text))

    @property
    def numbers(self) -> list[str]:
        """The lines of ``text``. Don't assign them to a local variable where an error may pass: it would keep them."""
        return self.text.reveal().split("\n") if isinstance(self.text, MaskedLines) else []

    def checked(self, *, phone_format: PhoneFormat = "cn_mobile") -> GroupSpec:
        """
        Return the spec with normalised phone numbers, after checking it against the rules of its source.

        :param phone_format: rule for ``text``: ``cn_mobile`` (mainland China mobile numbers) or ``any``.
        :raises InvalidInputError: a parameter is missing or wrong, or the source does not take it.
        """
        phone_format = PHONE_FORMAT_RULE("phone_format", phone_format)
        spec = self._with_api_types()
        spec._check_parameters()  # noqa: SLF001 - its own class
        if spec.uri is not None:
            check_oss_uri(spec.uri)
        if spec.text is None:
            return spec
        with forgetting_locals():
            return replace(spec, text=_normal_text(spec.numbers, phone_format))

    def _with_api_types(self) -> GroupSpec:
        """
        Return the spec with parameters in the types that the API needs, after what templates may have made of them.

        Whole numbers become text, and empty text becomes None. Only the filter must not be empty: that would mean the
        whole table.
        """
        taken = _REQUIRED[self.source] + _OPTIONAL.get(self.source, ())
        for name in _SOURCE_PARAMETERS:
            if getattr(self, name) is not None and name not in taken:
                raise InvalidInputError(f"{name} is not for {self._source_name}: take it out, or change source")
        values: dict[str, Any] = {
            item.name: given_text(item.name, getattr(self, item.name))
            for item in fields(self)
            if item.name not in {"source", "phone_number", "text"}
        }
        with forgetting_locals():
            values["text"] = given_text("text", revealed_text(self.text))
        if self.filter is not None:
            values["filter"] = exact_text("filter", self.filter)
        if self.phone_number is not None:
            true_or_false("phone_number", self.phone_number)
        return replace(self, **values)

    def _check_parameters(self) -> None:
        """Raise an error if a parameter that the source needs is missing, or a name is too long."""
        for name in _NAMES:
            not_longer(name, getattr(self, name) or "", than=MAX_NAME_CHARACTERS, whose="PAI")
        for name in _REQUIRED[self.source]:
            if getattr(self, name) is None:
                raise InvalidInputError(f"{name} is missing: {self._source_name} needs it")
        if self.source in _NEEDS_COLUMN and self.phone_number and self.column is None:
            raise InvalidInputError(
                f"column is missing: {self._source_name} with phone_number=True needs the phone numbers' column"
            )

    @property
    def _source_name(self) -> str:
        return f"source {self.source.value} ({self.source.name.lower()})"

    def to_api(self) -> dict[str, Any]:
        """Return the JSON object that CreateGroup takes, without parameters that are None."""
        values = {api_name(item.name): getattr(self, item.name) for item in fields(self)}
        values |= {"Source": int(self.source), "Text": revealed_text(self.text)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def origin(self) -> str:
        """What the group is made from, in words without personal data, for messages."""
        named = {
            PaiSource.TEXT: "text",
            PaiSource.TEXT_FILE: f"the text file {without_query(self.uri or '')}",
            PaiSource.CSV: f"the CSV file {without_query(self.uri or '')}",
            PaiSource.MAXCOMPUTE: f"the table {self.table} of project {self.project}",
            PaiSource.ALGORITHM: f"the algorithm {self.algorithm}, job {self.inference_job_id}",
        }
        return named[self.source]

    def canonical(self) -> bytes:
        """Return bytes that are equal for equal specs, and differ for others."""
        return json.dumps(self.to_api(), sort_keys=True, ensure_ascii=True).encode()


def _normal_text(lines: list[str], phone_format: PhoneFormat) -> str:
    numbers = normalise_phone_numbers(lines, phone_format=phone_format)
    if not numbers:
        raise InvalidInputError("text has no phone number in it: give one a line")
    if len(numbers) > MAX_TEXT_NUMBERS:
        raise InvalidInputError(
            f"text has {len(numbers)} phone numbers, and PAI takes at most {MAX_TEXT_NUMBERS}: put "
            "them in a text file on OSS and create the group with source=1 (text file) and its uri"
        )
    return "\n".join(numbers)


def revealed_text(text: str | MaskedLines | None) -> str | None:
    """
    Return a group's text unmasked. Don't assign it to a local variable where an error may pass: it would keep it.

    :param text: text of a spec, masked or not.
    """
    return text.reveal() if isinstance(text, MaskedLines) else text


def check_oss_uri(uri: str) -> None:
    """
    Raise an error if PAI can't read a file from an address.

    :param uri: address of the form ``https://<bucket>.oss-<region>.aliyuncs.com/<key>``.
    :raises InvalidInputError: the address has another form, or has a user name or password in it.
    """
    form = "https://<bucket>.oss-<region>.aliyuncs.com/<key>"
    if any(char.isspace() or not char.isprintable() for char in uri):
        raise InvalidInputError(f"uri has white space or a control character in it: encode it, as in {form}")
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError:
        raise InvalidInputError(f"uri is not an address: give {form}") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("uri holds a user name or password: take it out, PAI reads by its own role")
    if parts.scheme == "oss":
        raise InvalidInputError(f"uri is in the oss:// form; PAI takes {form}")
    bucket, _, rest = host.partition(".")
    if parts.scheme != "https" or not bucket or not rest.endswith(".aliyuncs.com"):
        raise InvalidInputError(f"uri is no OSS address: give {form}")
    if not _BUCKET_PATTERN.fullmatch(bucket):
        raise InvalidInputError(
            f"uri names no OSS bucket: 3 to 63 lower-case letters, digits and hyphens, no hyphen at an end; give {form}"
        )
    if len(parts.path) <= 1:
        raise InvalidInputError(f"uri names no file: give {form}")
    if any(name.lower() in parts.query.lower() for name in _SIGNED_URL_PARAMETERS):
        log.warning("The uri is a signed URL: it expires, and whoever reads it can read the file.")


def api_name(name: str) -> str:
    """
    Return the API's spelling of a parameter's name, such as ``InferenceJobId``.

    :param name: name of the parameter here, such as ``inference_job_id``.
    """
    return "".join(part.capitalize() for part in name.split("_"))


def without_query(uri: str) -> str:
    """
    Return an address without its query and fragment, where a signed address has its signature.

    :param uri: an address, or any other text.
    """
    # Not by urlsplit: the platform also shows groups of others, whose uri may be no address.
    return re.split("[?#]", uri, maxsplit=1)[0]
