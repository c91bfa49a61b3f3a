"""How messages say numbers."""

import re
from pathlib import Path

import pytest

import airflow_provider_audiences
from airflow_provider_audiences.wording import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("request",), "0 requests"),
        (1, ("request",), "1 request"),
        (1_200, ("request",), "1,200 requests"),
        (1, ("batch was accepted", "batches were accepted"), "1 batch was accepted"),
        (2, ("batch was accepted", "batches were accepted"), "2 batches were accepted"),
    ],
)
def test_what_is_counted_fits_its_number(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said


NUMBER_AND_NOUN = re.compile(
    r"(%d|\}) (requests|members|batches|texts|groups|files|bytes|people|rows|lines|audiences|seconds|calls|errors)\b"
)
DIGESTED = "{len(spec.numbers)} lines"
"""Goes into the digest of a marker, so it never changes."""


def test_all_messages_leave_it_to_that_function() -> None:
    sources = Path(airflow_provider_audiences.__file__).parent.rglob("*.py")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sources
        if "emulator" not in path.parts
        for line in path.read_text().splitlines()
        if NUMBER_AND_NOUN.search(line) and DIGESTED not in line
    ]
    assert not found
