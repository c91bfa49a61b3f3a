"""A state that can't be read just now, and is whole: it must not be taken for a lost one."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.direct_changes import change_directly
from support.fixtures import MakeIds
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import TransientError

_MORE = 40


@contextmanager
def no_further_files(opened: list[int]) -> Iterator[None]:
    """Lower the limit of open files for the block; who asks for none of them takes them by :func:`take_all`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + _MORE, hard))
    try:
        yield
    finally:
        while opened:
            os.close(opened.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def take_all(opened: list[int]) -> None:
    """Open files until none may be opened any more, as other threads of a busy worker do."""
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return


@pytest.mark.parametrize("lost", ["fail", "rebuild", "replace"])
@pytest.mark.parametrize("prefix", ["ledger-", "held-"])
def test_a_worker_without_further_files(synced: SyncedAudience, make_ids: MakeIds, lost: str, prefix: str) -> None:
    ids = make_ids(6)
    synced.run(ids)
    change_directly(synced, "remove", ids[:1])
    synced.clear()
    opened: list[int] = []

    def after(method: str, name: str) -> None:
        if method == "fetch" and name.startswith(prefix):
            take_all(opened)

    synced.folder.after = after
    with no_further_files(opened), pytest.raises(TransientError, match="no further files"):
        synced.run(ids[:5], lost=lost)
    assert not opened
    assert synced.sent == []
    synced.clear()
    synced.run(ids[:5])
    assert synced.members == ids[1:5]
    assert synced.sent == [("remove", 1)]
