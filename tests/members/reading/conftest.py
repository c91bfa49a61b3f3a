"""What the tests of files share."""

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile

_DIALECT = frozenset({"header", "delimiter", "quote", "escape", "encoding", "null_values"})


@pytest.fixture(scope="session")
def read_file(read_texts: Callable[..., list[bytes]], make_file: Callable[..., SourceFile]) -> Callable[..., list[str]]:
    """Reads a file, both as one on this machine and as one in a store: ``read_file(content, name, column=…, …)``."""

    def run(content: bytes | str, name: str = "f.csv", **arguments: Any) -> list[str]:
        data = content.encode() if isinstance(content, str) else content
        dialect = Dialect.checked(**{key: arguments.pop(key) for key in _DIALECT & arguments.keys()})
        found = [
            read_texts(FilesInput(files=[make_file(data, name, local=local)], dialect=dialect, **arguments))
            for local in (True, False)
        ]
        assert found[0] == found[1]
        return [text.decode() for text in found[0]]

    return run


@pytest.fixture(scope="session")
def refuse_file(read_file: Callable[..., list[str]], hides: Callable[..., None]) -> Callable[..., str]:
    """Reads what is to be refused, and returns the message: ``refuse_file(content, name, hidden=[…], …)``."""

    def run(content: bytes | str, name: str = "f.csv", hidden: tuple[str, ...] = (), **arguments: Any) -> str:
        with pytest.raises(InvalidInputError) as caught:
            read_file(content, name, **arguments)
        hides(caught.value, "duckdb", *hidden)
        return str(caught.value)

    return run
