"""Recognises by their names files that are still being written, in folders and globs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)

_SHOWN_NAMES = 3
_COMPRESSION = r"(?:\.(?:gz|zst|zstd|bz2|xz|lz4|snappy|deflate))?"
_UNFINISHED = re.compile(
    r"""
    .*(?:
      \. (?:
          _copying_                                           # hdfs dfs -put
        | part | partial | filepart | cyberducksegment        # browsers, curl, WinSCP, rclone and lftp
        | crdownload | opdownload | download | aria2          # browsers
        | !ut | !qb | !bt | bc!                               # torrents
        | upload | uploading | transferring
        | in[-_]?progress (?:\.[0-9a-f-]{36})?                # Flink, Flume
        | writing | incomplete | unfinished
        | tmp | temp | tmp[-._]?[0-9]+ | ftptmp               # Flume, Logstash, and many more
        | gstmp                                               # gsutil
        | swp | swo | lock | lck                              # editors
      )
    | ~                                                       # editors
    )
    | \~\$.*                                                  # Excel
    | ~syncthing~.*
    | \#.*\#                                                  # Emacs
    | \+tmp                                                   # Kafka Connect, a folder
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_COMPRESSED = re.compile(rf"(.*?){_COMPRESSION}", re.IGNORECASE | re.DOTALL)
# The AWS CLI adds eight hexadecimal digits in mixed case; a date or a hash has no such mixture.
_RANDOM = re.compile(r".*\.(?=[0-9A-Fa-f]{8}$)(?=[^a-f]*[a-f])(?=[^A-F]*[A-F])[0-9A-Fa-f]{8}", re.DOTALL)


def is_unfinished(name: str) -> bool:
    """
    Return whether a name says that a file is still being written.

    :param name: name of a file or folder, or a glob of names.
    """
    match = _COMPRESSED.fullmatch(name)
    stem = match[1] if match else name
    return bool(_UNFINISHED.fullmatch(stem) or _RANDOM.fullmatch(name))


class PassedOver:
    """The files of a source that are passed over because they are still being written."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def takes(self, names: Iterable[str]) -> bool:
        """
        Return whether to pass a file over; if so, remember it.

        :param names: name of the file, preceded by the names of the folders from the source down to it.
        """
        parts = tuple(names)
        is_taken = any(map(is_unfinished, parts))
        if is_taken:
            self._names["/".join(parts)] = None
        return is_taken

    def log(self, shown: str) -> None:
        """
        Log how many files were passed over, if any.

        :param shown: address of the source without secrets.
        """
        if self._names:
            log.warning("%s: %s", shown, self)

    def __bool__(self) -> bool:
        return bool(self._names)

    def __str__(self) -> str:
        first = list(self._names)[:_SHOWN_NAMES]
        more = ", …" if len(self._names) > _SHOWN_NAMES else ""
        files = counted(len(self._names), "file is", "files are")
        return f"{files} still being written by the name, and passed over ({', '.join(first)}{more})"
