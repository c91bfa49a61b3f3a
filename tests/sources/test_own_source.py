"""A source of the user's own: operators take a subclass of Source wherever they take ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import DAG
from support.airflow_versions import rendered_fields
from support.fixtures import Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.lineage.datasets import DatasetName, datasets_and_queries
from airflow_provider_audiences.members.partition import Partition
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import FileSource, Source, SqlSource
from airflow_provider_audiences.sources.partitions import PartitionedReading


@dataclass(frozen=True)
class FolderSource(Source):
    """Files of a folder, one after the other; ``password`` is no template field."""

    template_fields: ClassVar[Sequence[str]] = ("folder", "prefix")

    folder: str
    prefix: str = ""
    password: str = "sesame"
    events: list[str] = field(default_factory=list)

    @contextmanager
    def open_members(self) -> Iterator[ValuesInput]:
        self.events.append("opened")
        try:
            yield ValuesInput(chunks=self._chunks(), name="a folder")
        finally:
            self.events.append("closed")

    def _chunks(self) -> Iterator[list[str]]:
        for path in self.paths:
            self.events.append(path.name)
            yield path.read_text().split()

    @property
    def paths(self) -> list[Any]:
        return sorted(Path(self.folder).glob(f"{self.prefix}*"))

    def narrowed_to(self, partition: Partition, *, argument: str) -> Self | None:
        if self.prefix == "whole":
            return None
        if self.prefix:
            raise InvalidInputError(f"{argument}: the prefix is taken; nothing was sent")
        return replace(self, prefix=partition.hex)


@dataclass(frozen=True)
class Listed(FolderSource):
    template_fields: ClassVar[Sequence[str]] = ("folders",)

    folder: str = "/"
    folders: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


def test_it_is_rendered_opened_read_and_closed(
    tmp_path: Path,
    make_audience: MakeAudience,
    make_ids: MakeIds,
    emulator: AudiencesEmulator,
    task_context: MakeContext,
) -> None:
    ids = make_ids(6)
    folder = tmp_path / "2026-01-31"
    folder.mkdir()
    (folder / "a").write_text("\n".join(ids[:4]))
    (folder / "b").write_text("\n".join(ids[2:]))
    source = FolderSource(str(tmp_path / "{{ ds }}"))
    audience_id = make_audience("x")
    with DAG("dag", schedule=None):
        operator = AppLovinAppendUsersOperator(task_id="t", audience_id=audience_id, source=source)
    operator.render_template_fields(task_context() | {"ds": "2026-01-31"})
    report = operator.execute(task_context())
    assert (report["sent"], report["duplicates"]) == (6, 2)
    assert sorted(emulator.members(audience_id)) == sorted(ids)
    assert source.events == ["opened", "a", "b", "closed"]


@pytest.mark.parametrize("operator_class", [AppLovinAppendUsersOperator, AppLovinSyncAudienceOperator])
def test_its_error_is_that_of_the_task(
    operator_class: Any, make_audience: MakeAudience, emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    @dataclass(frozen=True)
    class Broken(FolderSource):
        def _chunks(self) -> Iterator[list[str]]:
            yield ["a1e5b0c7-0000-4000-8000-000000000001"]
            raise SourceUnavailableError("the folder went away")

    source = Broken("/x")
    audience_id = make_audience("x")
    with pytest.raises(SourceUnavailableError, match="the folder went away"):
        operator_class(task_id="t", audience_id=audience_id, source=source).execute(task_context())
    assert source.events == ["opened", "closed"]
    assert emulator.members(audience_id) == []


def test_its_other_methods_do_not_matter(
    make_audience: MakeAudience,
    make_ids: MakeIds,
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    tmp_path: Path,
) -> None:
    """A method ``open`` does not make it a path, nor does a column of that name make one of a data frame."""

    @dataclass(frozen=True)
    class Opens(FolderSource):
        def open(self) -> None:
            raise AssertionError("it is no path")

    ids = make_ids(4)
    (tmp_path / "a").write_text("\n".join(ids[:2]))
    audience_id = make_audience("x")
    for source in (Opens(str(tmp_path)), pd.DataFrame({"open": ids[2:]})):
        AppLovinAppendUsersOperator(task_id="t", audience_id=audience_id, source=source).execute(task_context())
    assert sorted(emulator.members(audience_id)) == sorted(ids)


def test_only_template_fields_are_shown() -> None:
    source = FolderSource("/data/{{ ds }}")
    assert repr(source) == source.serialize() == "FolderSource(folder='/data/{{ ds }}')"
    assert repr(Listed()) == "Listed()"
    assert repr(Listed(folders=["/a"])) == "Listed(folders=['/a'])"
    operator = AppLovinAppendUsersOperator(task_id="t", audience_id="a", source=source)
    assert "sesame" not in str(rendered_fields(operator))


class TestPartitions:
    PARTITION = Partition(hex="a")
    READING = PartitionedReading(partition=PARTITION, placed=frozenset())

    def test_it_may_leave_out_the_rest_itself(self) -> None:
        assert self.READING.narrowed("source", FolderSource("/x")) == (FolderSource("/x", "a"), True)

    def test_or_is_read_whole(self, caplog: pytest.LogCaptureFixture) -> None:
        source = FolderSource("/x", "whole")
        assert self.READING.narrowed("source", source) == (source, False)
        assert "source is read whole" in caplog.text

    def test_or_says_what_it_lacks(self) -> None:
        with pytest.raises(InvalidInputError, match="suppress: the prefix is taken"):
            self.READING.narrowed("suppress", FolderSource("/x", "b"))


def test_its_paths_are_lineage(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert list(datasets_and_queries(FolderSource(str(tmp_path)))) == [DatasetName("file", str(tmp_path / "a"))]


def test_a_source_must_say_how_it_is_opened() -> None:
    class Nothing(Source):
        pass

    with pytest.raises(TypeError, match="open_members"):
        Nothing()  # type: ignore[abstract]


def test_ours_are_such_sources() -> None:
    assert issubclass(FileSource, Source)
    assert issubclass(SqlSource, Source)
