"""
The extra fields of both connection forms, defined once.

Airflow 3 draws the form from the provider's metadata, Airflow 2 from widgets of the hook; both are made from this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class ExtraField:
    """
    One field of a connection's extra.

    :param name: key in the extra.
    :param label: label in the form.
    :param description: help text in the form, with the default.
    :param kind: JSON type of the value.
    :param minimum: smallest value of a number; None for any value.
    :param is_secret: whether the form hides what the user types.
    :param choices: all values that a text may have; empty for any text.
    :param no_choice: what the form calls it if none of the choices is taken.
    """

    name: str
    label: str
    description: str
    kind: Literal["string", "number", "integer", "boolean"]
    minimum: float | None = None
    is_secret: bool = False
    choices: tuple[str, ...] = ()
    no_choice: str = ""


def _timing_fields(*, read_timeout: str, request_deadline: str) -> tuple[ExtraField, ...]:
    """
    Return the fields that both forms end with.

    :param read_timeout: default of the read timeout, in words.
    :param request_deadline: default of the request deadline, in words.
    """
    return (
        ExtraField(
            name="connect_timeout_seconds",
            label="Connect timeout (s)",
            description="Longest wait until the connection is made. Default: 10.",
            kind="number",
            minimum=0.1,
        ),
        ExtraField(
            name="read_timeout_seconds",
            label="Read timeout (s)",
            description=(
                f"Longest wait until the reply begins, and between two parts of the reply. Default: {read_timeout}."
            ),
            kind="number",
            minimum=0.1,
        ),
        ExtraField(
            name="request_deadline_seconds",
            label="Request deadline (s)",
            description=f"Longest time of a whole request, its reply included. Default: {request_deadline}.",
            kind="number",
            minimum=0.1,
        ),
        ExtraField(
            name="max_retries",
            label="Retries",
            description="How often a request is repeated after a transient failure. Default: 3.",
            kind="integer",
            minimum=0,
        ),
        ExtraField(
            name="backoff_seconds",
            label="Backoff (s)",
            description="Wait before the first repetition; the wait doubles each time. Default: 1.",
            kind="number",
            minimum=0,
        ),
        ExtraField(
            name="max_errors",
            label="Most errors",
            description=(
                "How many requests of the account may fail within 5 minutes, in all tasks together, before no more "
                "are sent for a while. Default: 50; 0 for any number."
            ),
            kind="integer",
            minimum=0,
        ),
        ExtraField(
            name="allow_insecure_http",
            label="Allow http",
            description=(
                "Lets the key and the members go over plain http to another machine than this one, readable on the "
                "way. Default: off."
            ),
            kind="boolean",
        ),
    )


_PORT_LABEL = "Port (optional)"
_PORT_HINT = "443; on Airflow 3.3 the test button needs it"
"""Airflow 3.3 refuses to test a stored connection without a port: it sends 0 and compares that with what is stored."""

SUPPRESSION_KEY_FIELD = "suppression_api_key"

APPLOVIN_FIELDS = (
    ExtraField(
        name=SUPPRESSION_KEY_FIELD,
        label="Suppression API Key",
        description=(
            "Key for suppression lists, from the Keys tab as well. No test can check it. Default: the Management Key."
        ),
        kind="string",
        is_secret=True,
    ),
    ExtraField(
        name="content_type",
        label="Upload content type",
        description=(
            "Content type that uploads are sent with. Default: application/x-www-form-urlencoded, as in AppLovin's "
            "own examples."
        ),
        kind="string",
    ),
    *_timing_fields(
        read_timeout="120, as AppLovin's server gives up after 100",
        request_deadline="150 for uploads, 60 for all others",
    ),
)
APPLOVIN_UI: dict[str, Any] = {
    "hidden_fields": ["login", "schema"],
    "relabeling": {"password": "Management Key", "host": "Host (optional)", "port": _PORT_LABEL},
    "placeholders": {
        "host": "https://api.applovin.com",
        "port": _PORT_HINT,
        "password": "from the Keys tab of your AppLovin account page",
    },
}

PAI_FIELDS = (
    ExtraField(
        name="region",
        label="Region",
        description=(
            "Id of a region, such as cn-shanghai or ap-southeast-1, by which an API key finds its address. For an "
            "AccessKey there is one address only. Default: cn-hangzhou."
        ),
        kind="string",
    ),
    ExtraField(
        name="dialect",
        label="Dialect",
        description=(
            "bearer for an API key, openapi for an AccessKey. openapi without AccessKey takes this machine's own "
            "credentials, such as its RAM role. Default: what fits login and password."
        ),
        kind="string",
        choices=("bearer", "openapi"),
        no_choice="what fits the credentials",
    ),
    ExtraField(
        name="security_token",
        label="Security token",
        description="Token of a temporary AccessKey (STS), which expires together with the key. Default: none.",
        kind="string",
        is_secret=True,
    ),
    ExtraField(
        name="max_requests_per_second",
        label="Requests a second",
        description="Most requests of one process in a second; the account may send 100. Default: 50.",
        kind="number",
        minimum=0.1,
    ),
    ExtraField(
        name="price_per_call",
        label="Price of a call",
        description=(
            "Price of one create, get or delete, for estimated_cost in reports. Alibaba Cloud's document says 0.001, "
            "and names no currency. Default: none, and no estimate."
        ),
        kind="number",
        minimum=0,
    ),
    *_timing_fields(read_timeout="60", request_deadline="60"),
)
PAI_UI: dict[str, Any] = {
    "hidden_fields": ["schema"],
    "relabeling": {
        "login": "AccessKey ID (optional)",
        "password": "API key, or AccessKey secret",
        "host": "Host (optional)",
        "port": _PORT_LABEL,
    },
    "placeholders": {
        "host": "chosen by the region",
        "port": _PORT_HINT,
        "login": "empty for an API key",
        "password": "empty: the environment variable DASHSCOPE_API_KEY",
    },
}


def conn_fields(fields: Sequence[ExtraField]) -> dict[str, Any]:
    """
    Return the fields as provider metadata (``conn-fields``).

    :param fields: extra fields of one connection type.
    """
    described: dict[str, Any] = {}
    for field in fields:
        schema: dict[str, Any] = {"type": [field.kind, "null"]}
        if field.minimum is not None:
            schema["minimum"] = field.minimum
        if field.is_secret:
            schema["format"] = "password"
        if field.choices:
            schema |= {"enum": [*field.choices, None], "values_display": {"null": field.no_choice}}
        described[field.name] = {"label": field.label, "description": field.description, "schema": schema}
    return described


def ui_field_behaviour(behaviour: dict[str, Any]) -> dict[str, Any]:
    """
    Return the settings for a form's standard fields as provider metadata (``ui-field-behaviour``).

    :param behaviour: the settings with the keys that hooks use, which have underscores.
    """
    return {key.replace("_", "-"): value for key, value in behaviour.items()}


def form_widgets(fields: Sequence[ExtraField]) -> dict[str, Any]:
    """
    Return the fields as form widgets, which only Airflow 2 needs.

    :param fields: extra fields of one connection type.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import AnyOf, NumberRange, Optional, Regexp

    widgets: dict[str, Any] = {}
    for field in fields:
        if field.kind == "boolean":
            widgets[field.name] = BooleanField(field.label, description=field.description, default=False)
            continue
        if field.is_secret:
            widgets[field.name] = PasswordField(
                field.label, description=field.description, widget=BS3PasswordFieldWidget(), validators=[Optional()]
            )
            continue
        validators = [Optional()]
        # Airflow drops a whole connection type that has a FloatField: it knows text, integers and switches.
        field_class = IntegerField if field.kind == "integer" else StringField
        if field.kind == "integer" and field.minimum is not None:
            validators.append(NumberRange(min=field.minimum))
        if field.choices:
            validators.append(AnyOf(field.choices))
        if field.kind == "number":
            validators.append(Regexp(r"\s*[0-9]+(\.[0-9]*)?\s*$", message="A number, such as 2.5."))
        widgets[field.name] = field_class(
            field.label, description=field.description, widget=BS3TextFieldWidget(), validators=validators
        )
    return widgets
