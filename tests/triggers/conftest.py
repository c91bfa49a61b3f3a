"""What the tests of the triggers share."""

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource


@pytest.fixture
def make_groups(pai: PaiClient) -> Callable[..., list[str]]:
    """Makes groups of two people each, and returns their ids: ``make_groups(3, name="VIP")``."""

    def make(count: int, *, name: str = "VIP") -> list[Any]:
        spec = GroupSpec(source=PaiSource.TEXT, name=name, text="13900001111\n13900002222", phone_number=True)
        return [pai.create_group(spec, marker=None).group.id for _ in range(count)]

    return make
