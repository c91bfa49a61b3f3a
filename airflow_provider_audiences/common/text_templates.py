"""
Rendering of text arguments as text, and of paths as paths.

In a DAG with ``render_template_as_native_obj=True``, Airflow reads each rendered text as a Python literal: the name
``2026_11_11`` becomes the number 20261111, ``1e5`` becomes 100000.0, and ``True`` becomes a bool. The original text
can't be restored from those.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from jinja2.nativetypes import NativeEnvironment

from airflow_provider_audiences.validation import is_none

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator as _Base
    from jinja2 import Environment
else:
    _Base = object

TEXT_FIELDS = frozenset(
    {
        "account",
        "algorithm",
        "audience_id",
        "audience_type",
        "column",
        "description",
        "filter",
        "group_id",
        "inference_job_id",
        "name",
        "package_name",
        "partition",
        "plan_id",
        "platform",
        "project",
        "provenance",
        "remark",
        "table",
        "uri",
        "uri_template",
    }
)
"""Names of the arguments that are always text, in all operators and sensors, beside those of connections."""


def is_text_field(name: str) -> bool:
    """
    Return whether an argument of this name is always text.

    :param name: name of an argument.
    """
    return name in TEXT_FIELDS or name.endswith("conn_id")


class TextTemplatesMixin(_Base):
    """Base of operators and sensors whose text arguments are rendered to text, even with native rendering."""

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Any,
        jinja_env: Environment,
        seen_oids: set[int],
        **options: Any,
    ) -> None:
        """Render the fields. Airflow calls this method, for mapped tasks too."""
        fields = list(template_fields)
        if parent is self and isinstance(jinja_env, NativeEnvironment):
            for name in filter(is_text_field, tuple(fields)):
                value = getattr(self, name)
                # A value that a mapped task gets from an upstream task is data, not a template.
                if isinstance(value, str) and id(value) not in seen_oids:
                    setattr(self, name, _written(value, context, jinja_env))
                    fields.remove(name)
        super()._do_render_template_fields(parent, fields, context, jinja_env, seen_oids, **options)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """
        Render a value; a path on this machine is returned unchanged.

        Airflow 3.0 to 3.2 would call the path's method ``resolve`` as that of a template, and fail if the file does not
        exist yet.

        :param content: value to render.
        """
        if isinstance(content, PurePath) and not hasattr(content, "fs"):  # an ObjectStoragePath may be both
            return content
        return super().render_template(content, *args, **kwargs)


def _written(value: str, context: Any, jinja_env: Environment) -> str | None:
    """Return the rendered text of a template; None for the text ``None``, as in native rendering."""
    template = jinja_env.from_string(value)
    # This is how Airflow itself renders: making a dict of the context would evaluate all of its values.
    values = copy.copy(context)
    values.update((name, item) for name, item in template.globals.items() if name not in values)
    nodes = template.root_render_func(jinja_env.context_class(jinja_env, values, template.name, template.blocks))
    text = "".join(map(str, nodes))
    return None if is_none(text) else text
