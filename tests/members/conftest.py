"""What the tests of members share. Fixtures of the session, so that property tests may use them."""

import io
import itertools
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_audiences.members.reading.chunks import read_members
from airflow_provider_audiences.members.reading.inputs import MemberInput, SourceFile
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace


@pytest.fixture(scope="session")
def make_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SourceFile]:
    """Makes a file of a source: ``make_file(content, name=…, local=…)``; one that is not local is in a store."""
    folder = tmp_path_factory.mktemp("sources")
    numbers = itertools.count()

    def make(content: bytes, name: str = "ids.txt", *, local: bool = True) -> SourceFile:
        path = folder / f"{next(numbers)}"
        if local:
            path.write_bytes(content)
        return SourceFile(
            name=name,
            open=(lambda: path.open("rb")) if local else (lambda: io.BytesIO(content)),
            local_path=path if local else None,
        )

    return make


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for all that only read tables."""
    with open_workspace(StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def read_texts(workspace: Workspace) -> Callable[..., list[bytes]]:
    """Reads all texts of an input: ``read_texts(source)``; checks that nothing stays in the workspace's folder."""

    def read(source: MemberInput) -> list[bytes]:
        columns = [chunk.column for chunk in read_members(source, workspace=workspace)]
        assert not (workspace.folder / "table").is_symlink()
        assert {path.name for path in workspace.folder.iterdir()} <= {"lock", "work.duckdb", "work.duckdb.wal"}
        return [column.text(row) for column in columns for row in range(len(column))]

    return read


@pytest.fixture(scope="session")
def all_text_of() -> Callable[[BaseException], str]:
    """Returns everything that an exception may show: text, repr, tracebacks, and the same of what lies behind it."""

    def collect(error: BaseException | None) -> str:
        if error is None:
            return ""
        own = [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ())]
        own += traceback.format_exception(error)
        return "\n".join([*own, collect(error.__cause__), collect(error.__context__)])

    return collect


@pytest.fixture(scope="session")
def hides(all_text_of: Callable[[BaseException], str]) -> Callable[..., None]:
    """Checks that an exception shows none of some texts: ``hides(error, "13900001111", …)``."""

    def check(error: Any, *texts: str) -> None:
        # Source lines of the tests themselves are part of a traceback; the texts must not be literals there.
        shown = all_text_of(error).lower()
        for text in texts:
            assert text.lower() not in shown

    return check
