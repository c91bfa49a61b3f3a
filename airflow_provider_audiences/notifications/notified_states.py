"""
The state of an audience that was notified last, in small files below ``state_path``, so that no news is sent twice.

Each news has a file with the next number. Of several runs that have the same news, only one can create that file, and
sends the notice. Some object stores let both create it; then both send one.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.notifications.health import AudienceHealth

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore

_KEPT = 8
"""Latest files that are kept: a slow run must not create again a number that was deleted."""


@dataclass(frozen=True, kw_only=True)
class NotifiedState:
    """
    The state that was notified last, as it is stored.

    :param number: number of the file; 0 if there is none.
    :param last_notified: the state that was notified last; None if none was.
    :param claimed_until: until when another run may be about to notify of a change, in seconds since 1970 (UTC); 0 for
        no such run.
    """

    number: int = 0
    last_notified: AudienceHealth | None = None
    claimed_until: int = 0


class NotifiedStateStore:
    """
    The store of one notifier of one task: the state that the notifier was last notified of.

    :param store: folder of the files.
    :param name: beginning of the files' names, of letters and digits.
    """

    def __init__(self, store: FileStore, name: str) -> None:
        self._store = store
        self._name = name
        self._numbered = re.compile(rf"{re.escape(name)}-(\d{{1,12}})\.json")

    def latest(self) -> NotifiedState:
        """
        Return what is stored.

        :raises StateUnavailableError: the folder can't be read.
        """
        for number in sorted(self._numbers(), reverse=True):
            # Another run may have deleted it since; who goes on from an older one is told that it is not the latest.
            with suppress(FileNotFoundError):
                return _notified_state(number, self._store.read(self._file(number)))
        return NotifiedState()

    def compare_and_set(
        self, expected: NotifiedState, *, last_notified: AudienceHealth | None, claimed_until: int = 0
    ) -> NotifiedState:
        """
        Store another state, if no other run has stored one since.

        :param expected: what is stored, as :meth:`latest` or this method has returned it.
        :param last_notified: the state that was notified last; None if none was.
        :param claimed_until: until when this run may be about to notify of a change; 0 (default) if it is not.
        :return: what is stored now.
        :raises FileExistsError: another run was quicker.
        :raises StateUnavailableError: the folder can't be written.
        """
        changed = NotifiedState(number=expected.number + 1, last_notified=last_notified, claimed_until=claimed_until)
        content = {"last_notified": last_notified.as_json() if last_notified else None, "claimed_until": claimed_until}
        name, encoded = self._file(changed.number), json.dumps(content).encode()
        try:
            self._store.create(name, encoded)
        except NotImplementedError:
            self._store.write(name, encoded)
        for number in self._numbers():
            if number <= changed.number - _KEPT:
                self._store.delete(self._file(number))
        return changed

    def _numbers(self) -> list[int]:
        found = map(self._numbered.fullmatch, self._store.names())
        return [int(name[1]) for name in found if name]

    def _file(self, number: int) -> str:
        return f"{self._name}-{number}.json"


def _notified_state(number: int, content: bytes) -> NotifiedState:
    """Return a file's content; what can't be read is forgotten, as if nothing had been notified."""
    try:
        stored: Any = json.loads(content)
        last_notified = AudienceHealth.of_json(stored["last_notified"])
        return NotifiedState(number=number, last_notified=last_notified, claimed_until=int(stored["claimed_until"]))
    except (ValueError, TypeError, KeyError):
        return NotifiedState(number=number)
