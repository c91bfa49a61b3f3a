"""Which failures of reading are taken for damage, and which are not."""

import errno
import os
from pathlib import Path

import duckdb
import pytest

from airflow_provider_audiences.exceptions import StateUnavailableError, WorkspaceUnavailableError
from airflow_provider_audiences.members.failures import failure_of_reading


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_worker_that_may_open_no_further_files(number: int) -> None:
    error = duckdb.IOException(f'IO Error: Cannot open file "/tmp/x": {os.strerror(number)}')
    assert isinstance(failure_of_reading(error), WorkspaceUnavailableError)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT])
def test_a_disk_that_fails(number: int) -> None:
    error = duckdb.IOException(f'IO Error: Could not read from file "/tmp/x": {os.strerror(number)}')
    failure = failure_of_reading(error)
    assert isinstance(failure, StateUnavailableError)
    assert os.strerror(number) in str(failure)
    assert "/tmp/x" not in str(failure)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"no Parquet file, but long enough"])
def test_a_damaged_file_is_another_matter(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(duckdb.Error) as error:
        duckdb.read_parquet(f"{tmp_path}/x.parquet").fetchall()
    assert failure_of_reading(error.value) is None
