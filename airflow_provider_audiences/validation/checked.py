"""Groups of arguments that are checked together, by a table with a rule for each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

Rule = Callable[[str, Any], Any]
"""Takes an argument's name and value, and returns the checked value; raises an InvalidInputError with the name."""

Rules = Mapping[str, Rule]


class Checked:
    """
    Base of frozen dataclasses that check their fields when an object is made, in the order of the rules.

    After that, each field has its declared type, whether the caller gave a number or the text that a template rendered.

    :ivar RULES: the rules by field name; a field without a rule is not checked.
    """

    RULES: ClassVar[Rules] = {}

    def __post_init__(self) -> None:
        for name, rule in self.RULES.items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))

    @classmethod
    def of(cls, operator: object, **instead: Any) -> Self:
        """
        Return an operator's arguments after checking them.

        :param operator: the operator, with an attribute for each field that has a rule.
        :param instead: values of fields that the operator does not have, or that differ from its attributes.
        :raises InvalidInputError: an argument is wrong.
        """
        taken = {name: getattr(operator, name) for name in cls.RULES if name not in instead}
        return cls(**taken, **instead)
