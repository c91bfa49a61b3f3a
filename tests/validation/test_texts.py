"""Names, ids, conditions and remarks: what was written, or a refusal."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation.texts import (
    a_type,
    exact_text,
    given_text,
    one_of,
    path_id,
    required_text,
    shown,
)

WHOLE = [
    (20261111, "20261111"),
    (np.int64(7), "7"),
    (np.uint8(255), "255"),
    (-5, "-5"),
    (10**400, f"1{'0' * 400}"),
]
TEXT_RULES = [required_text, exact_text, given_text, path_id]


class TestTexts:
    """Names, ids, conditions and remarks: what was written, or a refusal."""

    @pytest.mark.parametrize(("value", "expected"), [("a b", "a b"), ("007", "007"), ("1e5", "1e5"), *WHOLE])
    @pytest.mark.parametrize("rule", TEXT_RULES)
    def test_text_and_whole_numbers(self, rule: Callable[..., Any], value: Any, expected: str) -> None:
        assert rule("name", value) == expected

    def test_white_space_is_a_part_of_a_name_and_not_of_an_id(self) -> None:
        assert exact_text("name", " a ") == given_text("name", " a ") == " a "
        assert required_text("audience_id", " a\n") == path_id("group_id", " a\n") == "a"

    @pytest.mark.parametrize("value", [True, False, 0, np.int32(0), 1.5, 20261111.0, math.inf, math.nan, Decimal(5)])
    @pytest.mark.parametrize("rule", TEXT_RULES)
    def test_how_it_was_written_can_not_be_told(self, rule: Callable[..., Any], value: Any) -> None:
        with pytest.raises(InvalidInputError, match=r"^package_name is .* render_template_as_native_obj"):
            rule("package_name", value)

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ([], "a list"),
            ({}, "a dict"),
            (b"a", "a bytes"),
            (object(), "an object"),
            (np.array([1]), "a ndarray"),
            (Fraction, "an ABCMeta"),
        ],
    )
    @pytest.mark.parametrize("rule", TEXT_RULES)
    def test_what_is_no_text(self, rule: Callable[..., Any], value: Any, said: str) -> None:
        with pytest.raises(InvalidInputError, match=rf"^remark is {said}, not text"):
            rule("remark", value)

    @pytest.mark.parametrize("value", [None, "", " \t\n", "\u3000", "None", " None\n"])
    def test_nothing_is_given(self, value: Any) -> None:
        assert given_text("remark", value) is None
        for rule in (required_text, exact_text, path_id):
            with pytest.raises(InvalidInputError, match=r"^filter (is empty|was rendered to None): give the filter"):
                rule("filter", value)

    def test_types_have_their_article(self) -> None:
        values: list[Any] = [1, 1.5, "", None, [], UnicodeError(), OSError()]
        assert [a_type(value) for value in values] == [
            *("an int", "a float", "a str", "None", "a list", "a UnicodeError", "an OSError"),
        ]


HIDDEN = " that is not shown, as it may be a member"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Mirror ", "'Mirror '"),
        (-1, "-1"),
        (0.5, "0.5"),
        (None, "None"),
        (True, "True"),
        ("s3://bucket/key", "'s3://bucket/key'"),
        ("139-0000 1111", f"a str{HIDDEN}"),
        ("\uff11\uff13\uff19\uff10\uff10\uff10\uff10\uff11\uff11\uff11\uff11", f"a str{HIDDEN}"),
        (-1e-300, "-1e-300"),
        ("13900001111", f"a str{HIDDEN}"),
        (13900001111, f"an int{HIDDEN}"),
        ("b1e1f0a2-5a3c-4d5e-8f60-1234567890ab", f"a str{HIDDEN}"),
        ("B1E1F0A25A3C4D5E8F601234567890AB", f"a str{HIDDEN}"),
        ("somebody@example.com", f"a str{HIDDEN}"),
        (["13900001111"], "a list"),
        ({"a": 1}, "a dict"),
        ("x" * 70, f"a str{HIDDEN}"),
    ],
)
def test_a_wrong_argument_is_shown_unless_it_may_be_a_member(value: object, text: str) -> None:
    assert shown(value) == text
    with pytest.raises(InvalidInputError) as wrong:
        one_of("mode", value, ("append",))
    assert str(wrong.value) == f"mode must be 'append', not {text}."
