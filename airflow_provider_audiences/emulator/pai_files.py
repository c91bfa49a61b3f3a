"""Finds the file behind a group's address, in a folder or at a web address, and counts its members."""

import csv
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .pai_rules import is_phone_number, plain_number
from .replies import NOT_FOUND

MAX_FILE_BYTES = 64 * 1024 * 1024
TIMEOUT_SECONDS = 20.0
SENT_AS_IT_IS = "%/:@!$&'()*+,;=~"

MISSING = "The file does not exist"
UNREADABLE = "The file could not be read"
TOO_LARGE = "The file is too large"
NOT_TEXT = "The file is not UTF-8 text"
NO_COLUMN = "The file has no column of that name"
NO_MEMBER = "The file holds no member"
NO_PHONE_NUMBER = "The file holds no valid phone number"


class FileError(Exception):
    """A file can't be used. The message goes into the group's History, and quotes nothing of the file."""


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """
    The file that a group is made from.

    :param place: ``http`` or ``https`` address, or path of the file.
    :param is_csv: whether the file is CSV with a header line; otherwise it has one member a line.
    :param column: name of the column with the members; empty if each whole line is a member.
    :param phone_number: whether members are phone numbers, so that nothing else counts.
    """

    place: str | Path
    is_csv: bool
    column: str
    phone_number: bool


def place_of(uri: str, roots: Mapping[str, str]) -> str | Path | None:
    """
    Return where the file of an address is; None if no root matches the address.

    :param uri: address of the file, as the group has it.
    :param roots: folder or web address that stands for each beginning of addresses.
    :raises FileError: the address leads out of the folder.
    """
    plain = uri.partition("#")[0].partition("?")[0]
    fitting = [prefix for prefix in roots if plain.startswith(prefix.rstrip("/") + "/")]
    if not fitting:
        return None
    prefix = max(fitting, key=len)
    root, rest = roots[prefix], plain[len(prefix.rstrip("/")) + 1 :]
    if ".." in unquote(rest).replace("\\", "/").split("/") or "\0" in unquote(rest):
        raise FileError(UNREADABLE)
    if urlsplit(root).scheme in ("http", "https"):
        return f"{root.rstrip('/')}/{quote(rest, safe=SENT_AS_IT_IS)}"
    folder = Path(root).resolve()
    place = Path(folder, unquote(rest).lstrip("/")).resolve()
    if not place.is_relative_to(folder):
        raise FileError(UNREADABLE)
    return place


class _Bounded(io.RawIOBase):
    """A stream that fails if it is too long or takes too long."""

    def __init__(self, stream: io.BufferedIOBase, *, max_bytes: int, deadline: float) -> None:
        self._stream = stream
        self._left = max_bytes
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Not read(), which waits until it has all bytes that it was asked for, however slowly they come.
        chunk = self._stream.read1(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise FileError(TOO_LARGE)
        if time.monotonic() > self._deadline:
            raise FileError(UNREADABLE)
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Refuse redirects: a file is where its address says, or it is missing."""


class FileCounter:
    """
    Counts the members of files.

    :param max_bytes: size of the largest file that is accepted; default 64 MB.
    :param timeout_seconds: longest real time to read one file; default 20.
    """

    def __init__(self, *, max_bytes: int = MAX_FILE_BYTES, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        # Files are on this machine or next to it, so proxies of the environment are ignored.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())

    def count(self, source: FileSource) -> int:
        """
        Return the number of distinct members in a file, at least 1.

        :param source: file to read.
        :raises FileError: the file is missing, can't be read, or has no member.
        """
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with (
                self._open(source.place) as stream,
                io.BufferedReader(_Bounded(stream, max_bytes=self._max_bytes, deadline=deadline)) as bounded,
                io.TextIOWrapper(bounded, encoding="utf-8-sig", newline="") as text,
            ):
                members = _members(text, source)
                if source.phone_number:
                    members = (plain_number(member) for member in members if is_phone_number(member))
                found = len(set(members))
        except UnicodeDecodeError:
            raise FileError(NOT_TEXT) from None
        except urllib.error.HTTPError as error:
            with error:
                raise FileError(MISSING if error.code == NOT_FOUND else f"{UNREADABLE}: HTTP {error.code}") from None
        except (OSError, HTTPException, ValueError, csv.Error):
            raise FileError(UNREADABLE) from None
        if not found:
            raise FileError(NO_PHONE_NUMBER if source.phone_number else NO_MEMBER)
        return found

    def _open(self, place: str | Path) -> io.BufferedIOBase:
        if isinstance(place, Path):
            # Reading a pipe or a device could block for ever.
            if not place.is_file():
                raise FileError(UNREADABLE if place.exists() else MISSING)
            return place.open("rb")
        stream: io.BufferedIOBase = self._opener.open(place, timeout=self._timeout_seconds)
        return stream


def _members(text: io.TextIOWrapper, source: FileSource) -> Iterator[str]:
    if not source.is_csv:
        return (line.strip() for line in text if line.strip())
    return _column(csv.reader(text), source.column)


def _column(rows: Iterator[list[str]], name: str) -> Iterator[str]:
    header = [cell.strip() for cell in next(rows, [])]
    if not name:
        return (",".join(row) for row in rows if any(cell.strip() for cell in row))
    if name not in header:
        raise FileError(NO_COLUMN)
    index = header.index(name)
    return (row[index].strip() for row in rows if len(row) > index and row[index].strip())
