"""Checks of arguments before the first request, and the reading of values in replies. Each rule is defined once."""

from airflow_provider_audiences.validation.checked import (
    Checked,
    Rule,
    Rules,
)
from airflow_provider_audiences.validation.numbers import (
    OFF,
    count_limit,
    ratio,
    seconds,
    true_or_false,
    whole_number,
    whole_seconds,
)
from airflow_provider_audiences.validation.replies import (
    api_integer,
    api_text,
)
from airflow_provider_audiences.validation.texts import (
    BROKEN,
    MAX_NAME_CHARACTERS,
    a_type,
    exact_text,
    given_text,
    is_broken,
    is_none,
    not_longer,
    one_of,
    path_id,
    required_text,
    shown,
)

__all__ = [
    "BROKEN",
    "MAX_NAME_CHARACTERS",
    "OFF",
    "Checked",
    "Rule",
    "Rules",
    "a_type",
    "api_integer",
    "api_text",
    "count_limit",
    "exact_text",
    "given_text",
    "is_broken",
    "is_none",
    "not_longer",
    "one_of",
    "path_id",
    "ratio",
    "required_text",
    "seconds",
    "shown",
    "true_or_false",
    "whole_number",
    "whole_seconds",
]
