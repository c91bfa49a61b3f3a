"""How messages say numbers."""

import pytest

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
