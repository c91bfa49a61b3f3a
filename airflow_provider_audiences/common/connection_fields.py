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
    """

    name: str
    label: str
    description: str
    kind: Literal["string", "number", "integer", "boolean"]
    minimum: float | None = None
    is_secret: bool = False


_SHARED = (
    ExtraField(
        name="connect_timeout_seconds",
        label="Connect timeout (s)",
        description="For the connection to be made. Default: 10.",
        kind="number",
        minimum=0.1,
    ),
    ExtraField(
        name="read_timeout_seconds",
        label="Read timeout (s)",
        description="For the reply to begin. Default: 120 for AppLovin (its server gives up after 100 s), 60 for PAI.",
        kind="number",
        minimum=0.1,
    ),
    ExtraField(
        name="request_deadline_seconds",
        label="Request deadline (s)",
        description=(
            "For each request as a whole, its reply included. Default: 150 for AppLovin's uploads, 60 for all others."
        ),
        kind="number",
        minimum=0.1,
    ),
    ExtraField(
        name="max_retries",
        label="Retries",
        description="Repetitions of a request after a transient failure. Default: 3.",
        kind="integer",
        minimum=0,
    ),
    ExtraField(
        name="backoff_seconds",
        label="Backoff (s)",
        description="Wait before the first repetition; it doubles each time. Default: 1.",
        kind="number",
        minimum=0,
    ),
    ExtraField(
        name="max_errors",
        label="Most errors",
        description=(
            "Failed requests of the account within 5 minutes, of all tasks together, after which none is sent until "
            "some of them are older. Default: 50; 0 for any number."
        ),
        kind="integer",
        minimum=0,
    ),
    ExtraField(
        name="allow_insecure_http",
        label="Allow http",
        description="Let the key and the members go over plain http to another machine. Default: false.",
        kind="boolean",
    ),
)

SUPPRESSION_KEY_FIELD = "suppression_api_key"

APPLOVIN_FIELDS = (
    ExtraField(
        name=SUPPRESSION_KEY_FIELD,
        label="Suppression API Key",
        description="For suppression lists, from the Keys tab as well. Default: the Management Key.",
        kind="string",
        is_secret=True,
    ),
    ExtraField(
        name="content_type",
        label="Upload content type",
        description="Default: application/x-www-form-urlencoded, as in AppLovin's own examples.",
        kind="string",
    ),
    *_SHARED,
)
APPLOVIN_UI: dict[str, Any] = {
    "hidden_fields": ["login", "schema", "port"],
    "relabeling": {"password": "Management Key", "host": "Host (optional)"},
    "placeholders": {
        "host": "https://api.applovin.com",
        "password": "from the Keys tab of your AppLovin account page",
    },
}

PAI_FIELDS = (
    ExtraField(
        name="region",
        label="Region",
        description=(
            "The id, such as cn-hangzhou (default), cn-shanghai or ap-southeast-1; chooses the address for an API key. "
            "For an AccessKey there is one address only."
        ),
        kind="string",
    ),
    ExtraField(
        name="dialect",
        label="Dialect",
        description=(
            "bearer (API key) or openapi (AccessKey). Default: what fits login and password. openapi without both "
            "takes this machine's own credentials, such as its RAM role."
        ),
        kind="string",
    ),
    ExtraField(
        name="security_token",
        label="Security token",
        description="Of temporary credentials (STS), which expire: it belongs to login and password.",
        kind="string",
        is_secret=True,
    ),
    ExtraField(
        name="max_requests_per_second",
        label="Requests a second",
        description="Limit of this process; the account's own is 100. Default: 50.",
        kind="number",
        minimum=0.1,
    ),
    ExtraField(
        name="price_per_call",
        label="Price of a call",
        description=(
            "Of one create, get or delete, for estimated_cost. Alibaba Cloud's document has 0.001, and no currency. "
            "Default: none, and no estimate."
        ),
        kind="number",
        minimum=0,
    ),
    *_SHARED,
)
PAI_UI: dict[str, Any] = {
    "hidden_fields": ["schema", "port"],
    "relabeling": {
        "login": "AccessKey ID (optional)",
        "password": "API key, or AccessKey secret",
        "host": "Host (optional)",
    },
    "placeholders": {
        "host": "chosen by the region",
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
    from wtforms.validators import NumberRange, Optional, Regexp

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
        if field.kind == "number":
            validators.append(Regexp(r"\s*[0-9]+(\.[0-9]*)?\s*$", message="A number, such as 2.5."))
        widgets[field.name] = field_class(
            field.label, description=field.description, widget=BS3TextFieldWidget(), validators=validators
        )
    return widgets
