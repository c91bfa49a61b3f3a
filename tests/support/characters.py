"""
A model of the characters around and within a member, by Unicode's names and categories; shares no code with the
product.
"""

import unicodedata

_NAMES_OF_MARKS = ("ZERO WIDTH ", "LEFT-TO-RIGHT ", "RIGHT-TO-LEFT ", "POP DIRECTIONAL ", "FIRST STRONG ISOLATE")
_OTHER_MARKS = {"WORD JOINER", "SOFT HYPHEN", "MONGOLIAN VOWEL SEPARATOR", "ARABIC LETTER MARK"}
_DASHES = {
    "HYPHEN-MINUS", "HYPHEN", "NON-BREAKING HYPHEN", "FIGURE DASH", "EN DASH", "EM DASH", "HORIZONTAL BAR",
    "MINUS SIGN", "SMALL HYPHEN-MINUS", "FULLWIDTH HYPHEN-MINUS",
}  # fmt: skip
_BRACKETS = {
    f"{width}{side} {shape}"
    for width in ("", "FULLWIDTH ")
    for side in ("LEFT", "RIGHT")
    for shape in ("PARENTHESIS", "SQUARE BRACKET")
}


def is_mark(char: str) -> bool:
    """An invisible character: of zero width, or of direction."""
    name = unicodedata.name(char, "")
    return unicodedata.category(char) == "Cf" and (name.startswith(_NAMES_OF_MARKS) or name in _OTHER_MARKS)


def is_white_space(char: str) -> bool:
    return unicodedata.category(char) in {"Zs", "Zl", "Zp"} or char in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"


def surrounds(char: str) -> bool:
    return is_white_space(char) or is_mark(char) or char in "\"'"


def separates(char: str) -> bool:
    """Stands between the digits of a phone number of mainland China."""
    name = unicodedata.name(char, "")
    is_space = unicodedata.category(char) == "Zs" or char in "\t\r"
    return is_space or is_mark(char) or name in _DASHES or name in _BRACKETS


def ascii_digit(char: str) -> str:
    """A full-width digit in ASCII; everything else as it is."""
    is_wide = unicodedata.name(char, "").startswith("FULLWIDTH DIGIT ")
    return str(unicodedata.digit(char)) if is_wide else char
