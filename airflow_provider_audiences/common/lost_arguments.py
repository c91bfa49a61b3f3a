"""
Refusing arguments that the DAG file gives and that are None when the task runs.

None in a DAG file means that the user wants nothing: no list of opt-outs, no limit. None at run time comes from a task
that returned nothing or was skipped, from a native template, or from ``expand``; it means that a value which the user
wants is missing. The values are the same, so each operator records which arguments it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import OFF

_NOTE = "_given_arguments"


class LostArgumentsMixin:
    """
    Base of operators and sensors that refuse lost arguments: those that were given, and are None when the task runs.

    A template field that ``partial`` or the DAG file sets to None counts as not given.
    """

    limit_arguments: ClassVar[frozenset[str]] = frozenset()
    """Names of the arguments for which None in the DAG file means no limit."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _noting(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Return the operator's shared arguments, as Airflow's object with the method ``expand``.

        :param kwargs: arguments that all mapped tasks share.
        """
        return super().partial(**without_none(cls, kwargs))  # type: ignore[misc]

    def refuse_lost_arguments(self) -> None:
        """
        Check the template fields.

        :raises InvalidInputError: a field was given and is None now; the message names the first one.
        """
        for name in self.template_fields:  # type: ignore[attr-defined] # the operator's
            if name in self.__dict__.get(_NOTE, ()) and getattr(self, name, None) is None:
                lift = f"; to have no limit, leave it out or give {OFF!r}" if name in self.limit_arguments else ""
                raise InvalidInputError(
                    f"{name} is None: the DAG asks for it, and what should have given it gave nothing: an upstream "
                    f"task that returned nothing or was skipped, a template, or an item of expand{lift}; nothing was "
                    "sent"
                )


def without_none(operator_class: type[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the shared arguments of mapped tasks without the template fields that are None; a limit becomes ``off``.

    :param operator_class: operator of the tasks.
    :param kwargs: arguments that the DAG file gives to all mapped tasks.
    """
    fields = operator_class.template_fields
    asked = {name: value for name, value in kwargs.items() if value is not None or name not in fields}
    lifted = {name: OFF for name, value in kwargs.items() if value is None and name in operator_class.limit_arguments}
    return {**asked, **lifted}


def _noting(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        # A mapped task's operator is made when the task runs; an argument that is None then comes from expand.
        is_mapped = getattr(self, "_BaseOperator__from_mapped", False)
        noted = self.__dict__.setdefault(_NOTE, set())
        noted.update(name for name, value in kwargs.items() if value is not None or is_mapped)
        init(self, *args, **kwargs)

    return noting
