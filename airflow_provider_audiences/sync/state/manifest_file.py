"""A manifest: a small JSON file with a checksum that says all that is true of an audience's state."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.sync.state.manifest import Manifest

FORMAT = 3
_OLD_FORMATS = frozenset({1, 2})
_NAME = re.compile(r"head-(?:(?P<number>\d{12})|(?P<since>\d{12})-(?P<next>\d{12})-(?P<writer>[0-9a-f]{16}))[.]json")


class Rank(NamedTuple):
    """
    Orders manifests: the highest is the last.

    :param since: the number at which its writer has taken over, or its own, where the store decides between writers.
    :param number: counts the manifests.
    :param writer: random; empty where the store decides between writers.
    """

    since: int
    number: int
    writer: str = ""

    @classmethod
    def of(cls, name: str) -> Rank | None:
        """Return the rank of a manifest by its file's name; None if it is another file."""
        found = _NAME.fullmatch(name)
        if not found:
            return None
        if found["number"]:
            return cls(int(found["number"]), int(found["number"]))
        return cls(int(found["since"]), int(found["next"]), found["writer"])

    @property
    def file(self) -> str:
        """The file's name."""
        if self.writer:
            return f"head-{self.since:012d}-{self.number:012d}-{self.writer}.json"
        return f"head-{self.number:012d}.json"


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """
    A manifest as it is stored.

    :param rank: its place among the others.
    :param writer: who has made it: random.
    :param state_id: tells what it says from whatever was said before, or will be.
    :param moved_from: what tells the state of an older version that the first manifest has replaced.
    :param manifest: what it says; None if nothing is known.
    """

    rank: Rank
    writer: str
    state_id: str
    moved_from: str
    manifest: Manifest | None

    def to_bytes(self) -> bytes:
        """Return it as JSON with a checksum."""
        content = {
            "format": FORMAT,
            "file": self.rank.file,
            "writer": self.writer,
            "state_id": self.state_id,
            "moved_from": self.moved_from,
            "head": self.manifest.as_json() if self.manifest else None,
        }
        return sealed(content)

    @classmethod
    def from_bytes(cls, text: bytes, rank: Rank, *, where: str) -> ManifestFile:
        """
        Read it.

        :param text: what :meth:`to_bytes` returned.
        :param rank: by the file's name.
        :param where: the file, for messages.
        :raises LedgerLostError: it is damaged, or another manifest.
        :raises StateUnavailableError: it is of a newer version of this program.
        """
        content = unsealed(text, where=where)
        _refuse_unless_known(content, where=where, known={FORMAT})
        try:
            if content["file"] != rank.file:
                raise ValueError("it is another file")
            return cls(
                rank=rank,
                writer=content["writer"],
                state_id=content["state_id"],
                moved_from=content["moved_from"],
                manifest=Manifest.from_json(content["head"]) if content["head"] else None,
            )
        except (ValueError, TypeError, KeyError):
            raise LedgerLostError(f"{where} is damaged") from None


def first_format(text: bytes, *, where: str) -> Manifest:
    """
    Return what versions before manifests have written: what is true, without a rank and a writer.

    :param text: the file's content.
    :param where: the file, for messages.
    :raises LedgerLostError: it is damaged.
    :raises StateUnavailableError: it is of a newer version of this program.
    """
    content = unsealed(text, where=where)
    _refuse_unless_known(content, where=where, known=_OLD_FORMATS)
    try:
        return Manifest.from_json({name: value for name, value in content.items() if name != "format"})
    except (ValueError, TypeError, KeyError):
        raise LedgerLostError(f"{where} is damaged") from None


def is_first_format(text: bytes) -> bool:
    """
    Tell whether a version before manifests has written a file; else it is their notice, or damaged.

    :param text: the file's content.
    """
    try:
        return unsealed(text, where="").get("format") in _OLD_FORMATS
    except LedgerLostError:
        return False


def sealed(content: Mapping[str, Any]) -> bytes:
    """
    Return JSON with a checksum.

    :param content: small JSON, without ``checksum``.
    """
    return json.dumps({**content, "checksum": _checksum(content)}, indent=1).encode()


def unsealed(text: bytes, *, where: str) -> dict[str, Any]:
    """
    Return what :func:`sealed` was given.

    :param text: what it returned.
    :param where: the file, for messages.
    :raises LedgerLostError: it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        if content.pop("checksum") != _checksum(content):
            raise ValueError("its checksum does not fit")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LedgerLostError(f"{where} is damaged") from None
    return content


def _refuse_unless_known(content: dict[str, Any], *, where: str, known: Collection[int]) -> None:
    stored = content.get("format")
    if stored not in known:
        raise StateUnavailableError(
            f"{where} has format {stored}, and this version of airflow-provider-audiences knows {max(known)}; nothing "
            "was sent",
            advice="Update airflow-provider-audiences on this worker.",
        )


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
