"""
What was told last, in small files below ``state_path``; so that two runs at once don't tell the same twice.

Each change of what is remembered is a new file with the next number, which only one of several runs can create. An
object store that can't promise that may let two runs tell the same.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.notifications.states import AudienceState

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore

_KEPT = 8
"""Latest files that are kept: a slow run must not create again a number that was deleted."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """
    What is remembered.

    :param number: number of the file; 0 if there is none.
    :param told: the state that was told last; None if none was.
    :param claimed_until: until when another run may be about to tell a change, in seconds since 1970 (UTC); else 0.
    """

    number: int = 0
    told: AudienceState | None = None
    claimed_until: int = 0


class Memory:
    """
    The memory of one notifier of one task.

    :param store: folder of the files.
    :param name: beginning of the files' names, of letters and digits.
    """

    def __init__(self, store: FileStore, name: str) -> None:
        self._store = store
        self._name = name
        self._numbered = re.compile(rf"{re.escape(name)}-(\d{{1,12}})\.json")

    def latest(self) -> Page:
        """
        Return what is remembered.

        :raises StateUnavailableError: the folder can't be read.
        """
        for number in sorted(self._numbers(), reverse=True):
            # Another run may have deleted it since; who goes on from an older one is told that it is not the latest.
            with suppress(FileNotFoundError):
                return _page(number, self._store.read(self._file(number)))
        return Page()

    def turn(self, page: Page, *, told: AudienceState | None, claimed_until: int = 0) -> Page:
        """
        Remember something else, if nobody has changed what is remembered since.

        :param page: what was remembered, by :meth:`latest` or by this method.
        :param told: the state that was told last; None if none was.
        :param claimed_until: until when this run may be about to tell a change; 0 (default) if it is not.
        :return: what is remembered now.
        :raises FileExistsError: another run was quicker.
        :raises StateUnavailableError: the folder can't be written.
        """
        turned = Page(number=page.number + 1, told=told, claimed_until=claimed_until)
        content = {"told": told.as_json() if told else None, "claimed_until": claimed_until}
        name, encoded = self._file(turned.number), json.dumps(content).encode()
        try:
            self._store.create(name, encoded)
        except NotImplementedError:
            self._store.write(name, encoded)
        for number in self._numbers():
            if number <= turned.number - _KEPT:
                self._store.delete(self._file(number))
        return turned

    def _numbers(self) -> list[int]:
        found = map(self._numbered.fullmatch, self._store.names())
        return [int(name[1]) for name in found if name]

    def _file(self, number: int) -> str:
        return f"{self._name}-{number}.json"


def _page(number: int, content: bytes) -> Page:
    """Return a file's content; what can't be read is forgotten, as if nothing had been told."""
    try:
        stored: Any = json.loads(content)
        told = AudienceState.of_json(stored["told"])
        return Page(number=number, told=told, claimed_until=int(stored["claimed_until"]))
    except (ValueError, TypeError, KeyError):
        return Page(number=number)
