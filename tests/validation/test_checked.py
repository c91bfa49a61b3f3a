"""Arguments that belong together are checked as the object is made of them."""

import dataclasses
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import Checked, Rules, ratio, true_or_false, whole_number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(Checked):
    RULES: ClassVar[Rules] = {
        "size": partial(whole_number, at_least=1),
        "part": ratio,
        "is_on": true_or_false,
    }

    size: int
    part: float | None = None
    is_on: bool = False
    note: str = ""


GIVEN: dict[str, Any] = {"size": " 7 ", "part": "off", "is_on": "TRUE"}


def test_texts_become_what_the_fields_say() -> None:
    assert Settings(**GIVEN) == Settings(size=7, part=None, is_on=True)
    assert dataclasses.replace(Settings(**GIVEN), part=0.5).part == 0.5


def test_the_first_wrong_one_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"^part must be "):
        Settings(**(GIVEN | {"part": "10%", "is_on": "maybe"}))
    with pytest.raises(InvalidInputError, match=r"^size must be "):
        dataclasses.replace(Settings(**GIVEN), size=0)


def test_an_operator_has_most_of_them() -> None:
    operator = SimpleNamespace(size="7", part=0.5, note="of something else")
    assert Settings.of(operator, is_on="false") == Settings(size=7, part=0.5)
    assert Settings.of(operator, is_on=True, size=1) == Settings(size=1, part=0.5, is_on=True)
