"""What the tests of sources share."""

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.members.reading.chunks import read_members
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sources.opening import open_source


@pytest.fixture(scope="session")
def read_source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], list[str]]:
    """Reads all texts of a source, sorted: ``read_source(source)``."""
    folder = tmp_path_factory.mktemp("read")

    def read(source: Any) -> list[Any]:
        with open_source(source) as opened, open_workspace(StagingSettings(temp_folder=folder)) as workspace:
            chunks = list(read_members(opened, workspace=workspace))
            return sorted(chunk.column.text(row).decode() for chunk in chunks for row in range(len(chunk.column)))

    return read
