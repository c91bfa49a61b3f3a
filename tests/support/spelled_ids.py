"""Texts of sources for Hypothesis: IDs in all spellings that are read, and texts that are no IDs."""

from hypothesis import strategies as st

_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001 - what people's keyboards write
_AROUND = " \t\r\n\v\f\"'\u200b\ufeff\u00a0\u3000"
_SIGNS = "0123456789abcdefABCDEF-{}gGzKéİßＡ０９\u0301" + _AROUND  # noqa: RUF001

ids = st.uuids().map(str)
"""IDs in their normal form."""


@st.composite
def spellings(draw: st.DrawFn, of: st.SearchStrategy[str] = ids) -> str:
    """IDs in another case, with full-width digits, quotes, white space, invisible characters or braces around them."""
    text = draw(of)
    ways = draw(st.lists(st.integers(0, 2), min_size=len(text), max_size=len(text)))
    text = "".join([char, char.upper(), char.translate(_WIDE)][way] for char, way in zip(text, ways, strict=True))
    around = st.text(st.sampled_from(_AROUND), max_size=2)
    braced = draw(st.sampled_from(["{}", "{{{}}}"])).format(text) if draw(st.booleans()) else text
    return draw(around) + braced + draw(around)


texts = st.one_of(ids, spellings(), st.text(st.sampled_from(_SIGNS), max_size=5))
"""Whatever may be in a column."""
