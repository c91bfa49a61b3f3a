"""
Templates of text stay text, and paths stay paths.

In a DAG with ``render_template_as_native_obj=True`` Airflow reads each result as Python: the name ``2026_11_11``
becomes the number 20261111, ``1e5`` becomes 100000.0 and ``True`` a bool. From those, what was written can't be told
any more.
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
        "algorithm",
        "applovin_conn_id",
        "audience_id",
        "audience_type",
        "column",
        "description",
        "filter",
        "group_id",
        "inference_job_id",
        "name",
        "package_name",
        "pai_conn_id",
        "plan_id",
        "platform",
        "project",
        "provenance",
        "remark",
        "table",
    }
)
"""Arguments that are text and nothing else, in whatever operator or sensor."""


class RendersTextAsText(_Base):
    """Base of operators and sensors whose text arguments are rendered as they are written."""

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Any,
        jinja_env: Environment,
        seen_oids: set[int],
        **options: Any,
    ) -> None:
        """Render the fields; Airflow calls this for mapped tasks too."""
        fields = list(template_fields)
        if parent is self and isinstance(jinja_env, NativeEnvironment):
            for name in TEXT_FIELDS.intersection(fields):
                value = getattr(self, name)
                # What an upstream task gave to a mapped one is data, and no template.
                if isinstance(value, str) and id(value) not in seen_oids:
                    setattr(self, name, _written(value, context, jinja_env))
                    fields.remove(name)
        super()._do_render_template_fields(parent, fields, context, jinja_env, seen_oids, **options)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """
        Render a value; a path of this machine is none with templates.

        Airflow 3.0 to 3.2 take its ``resolve`` for that of a template: a file that is not there yet ends in an error.
        """
        if isinstance(content, PurePath) and not hasattr(content, "fs"):  # an ObjectStoragePath may be both
            return content
        return super().render_template(content, *args, **kwargs)


def _written(value: str, context: Any, jinja_env: Environment) -> str | None:
    """Return what a template writes; None for the text None, as native rendering does."""
    template = jinja_env.from_string(value)
    # As Airflow itself renders: the context is not to be turned into a dict, which would evaluate all of it.
    values = copy.copy(context)
    values.update((name, item) for name, item in template.globals.items() if name not in values)
    nodes = template.root_render_func(jinja_env.context_class(jinja_env, values, template.name, template.blocks))
    text = "".join(map(str, nodes))
    return None if is_none(text) else text
