"""Files of phone numbers that PAI reads: written to a store through Airflow's file systems, and removed afterwards."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.paths import local_path
from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.common.state import folder_at
from airflow_provider_audiences.exceptions import InvalidInputError, StateUnavailableError
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.platforms.pai.group_spec import check_oss_uri
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers

log = logging.getLogger(__name__)

OSS_URI_TEMPLATE = "https://{bucket}.oss-cn-hangzhou.aliyuncs.com/{key}"
"""Address of a file in OSS, in the region of PAI's audience groups."""

_CHUNK_MEMBERS = 100_000
_PLACEHOLDERS = frozenset({"bucket", "key"})


class GroupFiles:
    """
    The files of one audience in a folder of a store.

    :param folder: the folder: ``oss://bucket/prefix``, another address that an Airflow file system takes, an
        ``ObjectStoragePath``, or a folder on this machine that a web server offers to PAI.
    :param conn_id: id of the store's Airflow connection; None for the connection that the address names.
    :param uri_template: address by which PAI reads a file, with ``{key}`` and perhaps ``{bucket}``; for a folder on
        this machine, the key is the file's name. None for :data:`OSS_URI_TEMPLATE`, in OSS only.
    :param name: name of the audience.
    :param owner: digest of the audience's provenance key, as in markers; for a mapped task with its map index.
    :raises InvalidInputError: the folder or the template is refused.
    """

    def __init__(self, folder: Any, *, conn_id: str | None, uri_template: str | None, name: str, owner: str) -> None:
        folder = revealed(folder)
        shown = shown_address(str(folder))
        if uri_template is None and not str(folder).startswith("oss://"):
            raise InvalidInputError(
                f"stage_path {shown} is not in OSS: say in uri_template by which address PAI reads its files, such as "
                f"{OSS_URI_TEMPLATE}"
            )
        self._folder = folder_at(folder, setting="stage_path", conn_id=conn_id)
        # Everything after the bucket is the key: in a store, # and ? may be part of a name.
        host, _, key = str(folder).partition("://")[2].partition("/")
        self._bucket, self._key = host.rpartition("@")[2], f"{key.rstrip('/')}/" if key.rstrip("/") else ""
        if local_path(folder) is not None:
            self._bucket = self._key = ""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "audience"
        self._prefix = f"{readable}-{hashlib.sha256(f'{owner} {name}'.encode()).hexdigest()[:10]}-"
        self._template = uri_template or OSS_URI_TEMPLATE
        _check_template(self._template)
        self._check_uri()

    def _check_uri(self) -> None:
        uri = self.uri(self.file_name(""))
        try:
            check_oss_uri(uri)
        except InvalidInputError as error:
            hint = "" if self._bucket else "; a folder on this machine has no bucket: write it out in uri_template"
            raise InvalidInputError(f"uri_template makes {shown_address(uri)}, and {error.message}{hint}") from None

    def file_name(self, fingerprint: str) -> str:
        """
        Return the name of the file for a set of members; it does not depend on their order.

        :param fingerprint: digest of the set; its first 16 characters are used.
        """
        return f"{self._prefix}{fingerprint[:16]}.txt"

    def uri(self, file_name: str) -> str:
        """
        Return the address by which PAI reads a file.

        :param file_name: name of the file, as :meth:`file_name` returns it.
        """
        return self._template.format(bucket=self._bucket, key=quote(f"{self._key}{file_name}", safe="/~"))

    def put(self, file_name: str, staged: StagedMembers, *, settings: StagingSettings) -> int:
        """
        Write members into a file, one per line.

        :param file_name: name of the file, as :meth:`file_name` returns it.
        :param staged: members to write.
        :param settings: memory and disk to use for a copy on this machine.
        :return: size of the file in bytes.
        :raises StateUnavailableError: the store failed.
        """
        with open_workspace(settings) as workspace, self._failures():
            size = 0

            def write(path: Path) -> None:
                nonlocal size
                with path.open("wb") as file:
                    for first in range(0, staged.members, _CHUNK_MEMBERS):
                        size += file.write(staged.lines(first, _CHUNK_MEMBERS))

            self._folder.store(file_name, write, scratch=workspace.folder / "members.txt")
        log.info(
            "Wrote %s to %s/%s (%s); PAI reads them at %s.",
            counted(staged.members, "member"), self._folder.name, file_name, counted(size, "byte"),
            shown_address(self.uri(file_name)),
        )  # fmt: skip
        return size

    def has(self, file_name: str) -> bool:
        """
        Return whether a file exists.

        :param file_name: name of the file, as :meth:`file_name` returns it.
        :raises StateUnavailableError: the store failed.
        """
        with self._failures():
            return file_name in self._folder.names()

    def remove_all(self) -> None:
        """
        Remove all files of this audience, including those that interrupted runs have left.

        :raises StateUnavailableError: the store failed.
        """
        with self._failures():
            names = [name for name in self._folder.names() if name.startswith(self._prefix)]
            for name in names:
                self._folder.delete(name)
        if names:
            log.info("Removed %s below %s.", counted(len(names), "file"), self._folder.name)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except StateUnavailableError as error:
            error.advice = "Check stage_path, its connection, and that this worker may write there."
            raise


def _check_template(template: object) -> None:
    names: set[str] = set()
    if isinstance(template, str):
        with suppress(ValueError):
            # A placeholder with a format or a conversion counts as another, unknown placeholder.
            names = {
                f"{name}{form}{conversion or ''}"
                for _, name, form, conversion in Formatter().parse(template)
                if name is not None
            }
    if not {"key"} <= names <= _PLACEHOLDERS:
        raise InvalidInputError(
            f"uri_template must be text with {{key}} in it, perhaps {{bucket}}, and no other placeholder: "
            f"{OSS_URI_TEMPLATE}"
        )
