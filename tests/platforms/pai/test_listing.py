"""A list that others change while it is read: no group may be overlooked, or it is made and billed a second time."""

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.listing import ReadPage, list_all_pages


def spec(name: str) -> GroupSpec:
    return GroupSpec(source=PaiSource.ALGORITHM, name=name, algorithm="recall", inference_job_id="job")


@pytest.fixture
def newest_first(emulator: AudiencesEmulator, pai: PaiClient) -> list[str]:
    """Nine groups on pages of three."""
    emulator.settings(max_page_size=3)
    ids = [pai.create_group(spec(str(number)), marker=None).group.id for number in range(9)]
    emulator.clear_requests()
    return ids[::-1]


@pytest.fixture
def shifting(pai: PaiClient) -> Callable[..., ReadPage]:
    """Reads pages; after the first page of each pass, the next of the changes happens."""

    def make(*changes: Callable[[], object]) -> ReadPage:
        left = list(changes)

        def read(page_number: int) -> tuple[list, int | None]:  # type: ignore[type-arg]
            page = pai.list_page(page_number)
            if page_number == 1 and left:
                left.pop(0)()
            return page

        return read

    return make


def test_a_group_that_slips_to_a_page_that_was_read_is_found(
    newest_first: list[str], shifting: Callable[..., ReadPage], pai: PaiClient, emulator: AudiencesEmulator
) -> None:
    read = shifting(lambda: pai.delete_group(newest_first[0]))
    # What has gone is not believed in, since the second pass found all that there are.
    assert [group.id for group in list_all_pages(read)] == newest_first[1:]
    assert len(emulator.requests("pai.list")) == 3 + 3


def test_a_group_that_comes_meanwhile_is_found(
    newest_first: list[str], shifting: Callable[..., ReadPage], pai: PaiClient
) -> None:
    made: list[str] = []
    read = shifting(lambda: made.append(pai.create_group(spec("new"), marker=None).group.id))
    assert [group.id for group in list_all_pages(read)] == made + newest_first


def test_a_list_that_never_holds_still_is_what_was_seen_in_three_passes(
    newest_first: list[str],
    shifting: Callable[..., ReadPage],
    pai: PaiClient,
    emulator: AudiencesEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    read = shifting(*[lambda group_id=group_id: pai.delete_group(group_id) for group_id in newest_first[:4]])
    listed = [group.id for group in list_all_pages(read)]
    # Each pass overlooked one, and each of them was seen in another.
    assert set(listed) == set(newest_first)
    assert "they changed meanwhile, each of 3 times" in caplog.text
    assert len(emulator.requests("pai.list")) == 3 + 3 + 2


def test_the_marked_group_is_adopted_while_the_list_shifts(
    emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]
) -> None:
    """The marked one is the first of the second page, and slips to the first when a newer one goes."""
    emulator.settings(max_page_size=3)
    client, other = make_pai(), make_pai()
    marker = client.marker(provenance="dag.task", run="r", spec=spec("VIP"))
    made = client.create_group(spec("VIP"), marker=marker).group.id
    *_, newest = [other.create_group(spec(f"VIP {number}"), marker=None).group.id for number in range(3)]
    emulator.settings(fuzzy_filters=True)

    class Shifting(PaiClient):
        def list_page(self, page_number: Any, **options: Any) -> Any:
            page = super().list_page(page_number, **options)
            other.delete_group(newest, ignore_missing=True)
            return page

    client.__class__ = Shifting
    again = client.create_group(spec("VIP"), marker=marker)
    assert (again.adopted, again.group.id) == (True, made)
    assert len(emulator.requests("pai.create")) == 4
