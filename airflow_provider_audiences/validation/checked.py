"""Arguments that belong together, with the rule of each: a table of field and rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

Rule = Callable[[str, Any], Any]
"""From an argument's name and value to the value as it is used; InvalidInputError names the argument."""

Rules = Mapping[str, Rule]


class Checked:
    """
    Base of frozen dataclasses whose fields are checked as the object is made, in the order of their rules.

    A field then has the type that it says, whatever was given: a number, or the text that a template made of it.

    :ivar RULES: of the fields that are checked.
    """

    RULES: ClassVar[Rules] = {}

    def __post_init__(self) -> None:
        for name, rule in self.RULES.items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))

    @classmethod
    def of(cls, owner: object, **instead: Any) -> Self:
        """
        Return what an operator was given, checked.

        :param owner: has an attribute for each field with a rule.
        :param instead: fields that it does not have, or that are not to be taken from it.
        :raises InvalidInputError: an argument is wrong.
        """
        taken = {name: getattr(owner, name) for name in cls.RULES if name not in instead}
        return cls(**taken, **instead)
