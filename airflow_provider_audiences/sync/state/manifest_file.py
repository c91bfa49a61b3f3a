"""Manifest files: JSON with a checksum; their names tell which manifest is the last one."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError
from airflow_provider_audiences.sync.state.manifest import Manifest
from airflow_provider_audiences.sync.state.sealing import sealed, unsealed

FORMAT = 3
_OLD_FORMATS = frozenset({1, 2})
_NAME = re.compile(
    r"head-(?:(?P<number>\d{12})|(?P<took_over_at>\d{12})-(?P<next>\d{12})-(?P<writer>[0-9a-f]{16}))[.]json"
)


class Rank(NamedTuple):
    """
    The place of a manifest among the others; the one with the highest rank is the last.

    :param took_over_at: number at which its writer took over; its own number if the store decides between writers.
    :param number: number of the manifest, which grows with each commit.
    :param writer: random text of the process that wrote it; empty if the store decides between writers.
    """

    took_over_at: int
    number: int
    writer: str = ""

    @classmethod
    def of(cls, name: str) -> Rank | None:
        """Return the rank that a file name tells; None if the file is not a manifest."""
        match = _NAME.fullmatch(name)
        if not match:
            return None
        if match["number"]:
            return cls(int(match["number"]), int(match["number"]))
        return cls(int(match["took_over_at"]), int(match["next"]), match["writer"])

    @property
    def file(self) -> str:
        """Name of the file of a manifest with this rank."""
        if self.writer:
            return f"head-{self.took_over_at:012d}-{self.number:012d}-{self.writer}.json"
        return f"head-{self.number:012d}.json"


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """
    A manifest with what is stored beside it.

    :param rank: its place among the other manifests.
    :param writer: random text of the process that wrote it.
    :param state_id: text that identifies this state among all past and later ones.
    :param moved_from: identifies the state of an older version that the first manifest has replaced.
    :param manifest: the manifest itself; None if nothing is known of the audience.
    """

    rank: Rank
    writer: str
    state_id: str
    moved_from: str
    manifest: Manifest | None

    def to_bytes(self) -> bytes:
        """Return the content of the file: JSON with a checksum."""
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
        Return the manifest that :meth:`to_bytes` has written.

        :param text: content of the file.
        :param rank: rank that the file's name tells.
        :param where: address of the file, for messages.
        :raises LedgerLostError: the content is damaged, or of another rank.
        :raises StateUnavailableError: a newer version of this program has written it.
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
    Return the manifest that a version without numbered manifests has written.

    :param text: content of the file.
    :param where: address of the file, for messages.
    :raises LedgerLostError: the content is damaged.
    :raises StateUnavailableError: a newer version of this program has written it.
    """
    content = unsealed(text, where=where)
    _refuse_unless_known(content, where=where, known=_OLD_FORMATS)
    try:
        return Manifest.from_json({name: value for name, value in content.items() if name != "format"})
    except (ValueError, TypeError, KeyError):
        raise LedgerLostError(f"{where} is damaged") from None


def is_first_format(text: bytes) -> bool:
    """
    Return whether a version without numbered manifests has written a file; if not, it is the notice to them, or
    damaged.

    :param text: content of the file.
    """
    try:
        return unsealed(text, where="").get("format") in _OLD_FORMATS
    except LedgerLostError:
        return False


def _refuse_unless_known(content: dict[str, Any], *, where: str, known: Collection[int]) -> None:
    stored = content.get("format")
    if stored not in known:
        raise StateUnavailableError(
            f"{where} has format {stored}, and this version of airflow-provider-audiences knows {max(known)}; nothing "
            "was sent",
            advice="Update airflow-provider-audiences on this worker.",
        )
