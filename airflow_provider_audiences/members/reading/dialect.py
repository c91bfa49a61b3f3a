"""What a user says about the form of a file or table: header, delimiter, quotes, encoding, texts for "nothing"."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import shown, true_or_false

_WRITTEN_CHARACTER = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([0-7]{3}))")
_UTF8 = frozenset({"utf-8", "ascii"})
_NO_TEXT_ENCODINGS = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_CSV_ONLY = ("header", "delimiter", "quote", "escape")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    r"""
    The form of a file; :meth:`checked` makes one of a user's arguments.

    :param header: whether the first line of a CSV file has the names of the columns; default True.
    :param delimiter: character between the fields of CSV; None to find it out.
    :param quote: character around fields of CSV; empty for none; None for ``"``.
    :param escape: character before a quote within quotes; empty for none; None for the quote itself, doubled.
    :param encoding: name of a Python codec; None for UTF-8.
    :param null_values: texts that stand for "nothing", such as ``\N``, and count as blank.
    """

    header: bool = True
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    null_values: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        *,
        header: object = True,
        delimiter: object = None,
        quote: object = None,
        escape: object = None,
        encoding: object = None,
        null_values: object = (),
    ) -> Dialect:
        r"""
        Return the dialect of a user's arguments after checking them.

        :param header: True or False, also as text (as templates render it).
        :param delimiter: one character, which may be written as ``\t``, ``\x01``, ``\001`` or ``\u0001``.
        :param quote: one ASCII character; empty for none.
        :param escape: one ASCII character; empty for none.
        :param encoding: name of a Python codec.
        :param null_values: a list of texts, or one text.
        :raises InvalidInputError: an argument is not of that form.
        """
        dialect = cls(
            header=true_or_false("header", header),
            delimiter=_delimiter(delimiter),
            quote=_character("quote", quote),
            escape=_character("escape", escape),
            encoding=_encoding(encoding),
            null_values=_null_values(null_values),
        )
        if dialect.delimiter is not None and dialect.delimiter in {dialect.quote_character, dialect.escape_character}:
            raise InvalidInputError(f"delimiter={dialect.delimiter!r} is also quote or escape: they must differ")
        return dialect

    @property
    def quote_character(self) -> str:
        """Character around fields of CSV; empty for none."""
        return '"' if self.quote is None else self.quote

    @property
    def escape_character(self) -> str:
        """Character before a quote within quotes; empty for none."""
        if not self.quote_character:
            return ""
        return self.quote_character if self.escape is None else self.escape

    def refuse_misfit(self, file_format: str, *, name: str) -> None:
        """
        Raise an error if an argument was given that means nothing for files of a format.

        :param file_format: ``text``, ``csv``, ``jsonl`` or ``parquet``.
        :param name: name of a file, for the message.
        :raises InvalidInputError: such an argument was given.
        """
        default = Dialect()
        names = [] if file_format == "csv" else [*_CSV_ONLY, *(["encoding"] if file_format == "parquet" else [])]
        for argument in names:
            if getattr(self, argument) != getattr(default, argument):
                only = "CSV" if argument in _CSV_ONLY else "text, CSV and JSON lines"
                raise InvalidInputError(
                    f"{argument}={getattr(self, argument)!r} is given, and {name} is read as {file_format}: that is "
                    f"for {only}; leave {argument} out, or say with file_format what the file is"
                )


def column_numbers(columns: Sequence[object]) -> list[int]:
    """
    Return columns of a file without a header as numbers from 1.

    :param columns: whole numbers, also as text (as templates render them).
    :raises InvalidInputError: a value is not a whole number from 1.
    """
    numbers = []
    for column in columns:
        text = str(column).strip()
        is_number = isinstance(column, int | str) and not isinstance(column, bool) and text.isascii() and text.isdigit()
        if not is_number or len(text) > len(str(2**31)) or int(text) < 1:
            raise InvalidInputError(
                f"column={column!r}: a file without a header (header=False) has no names: give the column's number, "
                "counted from 1"
            )
        numbers.append(int(text))
    return numbers


def _delimiter(value: object) -> str | None:
    if isinstance(value, str):
        value = "\t" if value == "\\t" else value
        if written := _WRITTEN_CHARACTER.fullmatch(str(value)):
            hexadecimal, wide, octal = written.groups()
            value = chr(int(octal, 8) if octal else int(hexadecimal or wide, 16))
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != 1 or value in "\0\r\n" or "\ud800" <= value <= "\udfff":
        raise InvalidInputError(
            f"delimiter must be one character, such as ';' or '\\t', and no line end, not {shown(value)}"
        )
    return value


def _character(name: str, value: object) -> str | None:
    if value is None or value == "":
        return value
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\0\r\n":
        raise InvalidInputError(f"{name} must be one ASCII character, or '' for none, not {shown(value)}")
    return value


def _encoding(value: object) -> str | None:
    if value is None:
        return None
    try:
        codec = codecs.lookup(value.strip() if isinstance(value, str) else "")
        name = codec.name.replace("_", "-")
        is_text = name not in _NO_TEXT_ENCODINGS
        bytes(4).decode(codec.name)  # refuses codecs of other things than text, such as zip and rot13
    except (LookupError, ValueError):
        is_text = False
    if not is_text:
        raise InvalidInputError(
            f"encoding must be a name that Python knows, such as 'gbk' or 'utf-16', not {shown(value)}"
        )
    return None if name in _UTF8 or name == "utf-8-sig" else name


def _null_values(value: object) -> tuple[str, ...]:
    values = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in values):
        raise InvalidInputError(f"null_values must be a list of texts, not a {type(value).__name__} or of other things")
    return tuple(sorted(values) if isinstance(values, set | frozenset) else values)
