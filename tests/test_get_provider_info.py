"""What the package tells Airflow about itself, checked by Airflow's own schemas and by its own manager."""

import importlib
import json
import re
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from airflow.providers_manager import ProvidersManager
from support.fixtures import Connect

import airflow_provider_audiences
from airflow_provider_audiences.common.connection_fields import APPLOVIN_FIELDS, PAI_FIELDS, form_widgets
from airflow_provider_audiences.get_provider_info import get_provider_info

INFO = get_provider_info()
CONNECTION_TYPES = {entry["connection-type"]: entry for entry in INFO["connection-types"]}
FIELDS = {"applovin": APPLOVIN_FIELDS, "pai": PAI_FIELDS}


def _schema(name: str) -> Any:
    return json.loads(Path(airflow.__file__).with_name(name).read_text())


def _class(path: Any) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_it_fits_airflows_schema() -> None:
    jsonschema.Draft7Validator(_schema("provider_info.schema.json")).validate(INFO)
    assert json.loads(json.dumps(INFO)) == INFO


def test_connection_types_fit_the_stricter_schema_too() -> None:
    schema = _schema("provider.yaml.schema.json")
    part = {**schema["properties"]["connection-types"], "definitions": schema.get("definitions", {})}
    if "conn-fields" in part["items"]["properties"]:
        jsonschema.Draft7Validator(part).validate(INFO["connection-types"])
    else:
        # Airflow 2 knows no conn-fields; the rest must fit.
        rest = [
            {key: value for key, value in entry.items() if key != "conn-fields"} for entry in INFO["connection-types"]
        ]
        jsonschema.Draft7Validator(part).validate(rest)


def test_name_and_version_are_the_distributions() -> None:
    assert INFO["package-name"] == "airflow-provider-audiences"
    assert INFO["versions"] == [airflow_provider_audiences.__version__]
    (entry_point,) = [
        found
        for found in entry_points(group="apache_airflow_provider")
        if found.dist and found.dist.name == "airflow-provider-audiences"
    ]
    assert entry_point.load()() == INFO


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_module_is_listed_and_imports(kind: str) -> None:
    listed = {module for entry in INFO[kind] for module in entry["python-modules"]}
    folder = Path(airflow_provider_audiences.__file__).with_name(kind)
    there = {f"airflow_provider_audiences.{kind}.{path.stem}" for path in folder.glob("*.py")}
    # What several share is no module for users.
    shared = {
        "arguments",
        "__init__",
        "applovin_base",
        "applovin_delivery_base",
        "changes_base",
        "delivery_base",
        "direct_delivery_base",
        "lanes",
        "pai_base",
        "pai_refresh_arguments",
        "pai_refresh_base",
        "partition_mixin",
        "partitioned_base",
        "stateful_base",
        "polling",
        "shared_clients",
        "sync_base",
        "target_mixin",
        "write_base",
    }
    assert listed == {name for name in there if name.rpartition(".")[2] not in shared}
    for module in listed:
        assert importlib.import_module(module).__doc__
    integrations = {entry["integration-name"] for entry in INFO["integrations"]}
    assert {entry["integration-name"] for entry in INFO[kind]} == integrations


def test_task_decorators_are_found() -> None:
    from airflow.providers.common.compat.sdk import task

    listed = {entry["name"]: entry["class-name"] for entry in INFO["task-decorators"]}
    assert set(listed) == {
        "applovin_sync_audience",
        "applovin_sync_suppression",
        "applovin_update_audience",
        "applovin_append_users",
        "applovin_remove_users",
        "pai_sync_group",
    }
    for name, path in listed.items():
        assert getattr(task, name) is _class(path)
        assert _class(path).__doc__


def test_settings_have_defaults_and_texts() -> None:
    from airflow_provider_audiences.members.workspace import DEFAULT_MEMORY_LIMIT

    (section,) = INFO["config"]
    assert section == "audiences"
    options = INFO["config"][section]["options"]
    assert {name: option["default"] for name, option in options.items()} == {
        "memory_limit": DEFAULT_MEMORY_LIMIT,
        "temp_folder": "",
        "state_path": "",
        "state_path_is_shared": "False",
    }
    for option in options.values():
        assert option["description"].endswith(".")
        assert option["example"]
        # A version that is newer than the package's would hide the option.
        assert option["version_added"] <= airflow_provider_audiences.__version__


def test_settings_come_from_airflows_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from airflow_provider_audiences.sources.staging import staging_settings

    assert staging_settings().temp_folder is None
    monkeypatch.setenv("AIRFLOW__AUDIENCES__MEMORY_LIMIT", "2GB")
    monkeypatch.setenv("AIRFLOW__AUDIENCES__TEMP_FOLDER", str(tmp_path))
    assert staging_settings().memory_limit == "2GB"
    assert staging_settings().temp_folder == tmp_path


@pytest.mark.parametrize("conn_type", ["applovin", "pai"])
def test_the_form_of_airflow_3_names_the_same_fields_as_that_of_airflow_2(conn_type: str) -> None:
    entry = CONNECTION_TYPES[conn_type]
    hook = _class(entry["hook-class-name"])
    assert (hook.conn_type, hook.hook_name) == (conn_type, entry["hook-name"])
    names = [field.name for field in FIELDS[conn_type]]
    assert list(entry["conn-fields"]) == names
    assert all("__" not in name and "-" not in name for name in [*names, conn_type])
    documented = hook.__doc__
    assert all(f"``{name}``" in documented for name in names)
    behaviour = hook.get_ui_field_behaviour()
    assert entry["ui-field-behaviour"] == {key.replace("_", "-"): value for key, value in behaviour.items()}
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}


@pytest.mark.parametrize("conn_type", ["applovin", "pai"])
def test_a_field_left_empty_fits_its_schema(conn_type: str) -> None:
    for field in CONNECTION_TYPES[conn_type]["conn-fields"].values():
        jsonschema.validate(None, field["schema"])
        assert field["description"].endswith(".")
        assert "Default: " in field["description"]


def test_every_extra_that_is_read_is_in_the_form(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_audiences.common.connections import ConnectionReader

    for conn_type, fields in FIELDS.items():
        read: set[Any] = set()

        class Extra(dict[str, Any]):
            def get(self, key: str, default: Any = None, read: Any = read) -> Any:
                read.add(key)
                return default

        extra = Extra()
        monkeypatch.setattr(ConnectionReader, "_extra", property(partial(lambda extra, _self: extra, extra)))
        connect(conn_type, host="http://example.com")
        hook = _class(CONNECTION_TYPES[conn_type]["hook-class-name"])
        assert hook().test_connection()[0] is False  # plain http: allow_insecure_http is asked for
        connect(conn_type, host=None)
        for name in ("get_conn", "get_suppression_conn"):
            if hasattr(hook, name):
                with getattr(hook(), name)():
                    pass
        assert read == {field.name for field in fields}


def _widgets_or_reason(fields: Any) -> Any:
    try:
        return form_widgets(fields)
    except ModuleNotFoundError as error:
        return error


@pytest.mark.parametrize("conn_type", ["applovin", "pai"])
def test_the_widgets_of_airflow_2_can_be_built_where_it_asks_for_them(conn_type: str) -> None:
    built = _widgets_or_reason(FIELDS[conn_type])
    if airflow.__version__.startswith("2."):
        assert list(built) == [field.name for field in FIELDS[conn_type]]
        hook = _class(CONNECTION_TYPES[conn_type]["hook-class-name"])
        assert list(hook.get_connection_form_widgets()) == list(built)
        for field in FIELDS[conn_type]:
            widget = built[field.name]
            assert (widget.args[0], widget.kwargs["description"]) == (field.label, field.description)
            assert (
                widget.field_class.__name__
                == {
                    "secret": "PasswordField",
                    "string": "StringField",
                    "number": "StringField",
                    "integer": "IntegerField",
                    "boolean": "BooleanField",
                }["secret" if field.is_secret else field.kind]
            )
    else:
        assert isinstance(built, ModuleNotFoundError | dict)


def test_airflow_finds_hooks_and_connection_types() -> None:
    manager = ProvidersManager()
    assert "airflow-provider-audiences" in manager.providers
    for conn_type, entry in CONNECTION_TYPES.items():
        hook = manager.hooks[conn_type]
        assert hook
        assert (hook.hook_class_name, hook.hook_name) == (entry["hook-class-name"], entry["hook-name"])
        assert hook.connection_id_attribute_name == f"{conn_type}_conn_id"
        assert hook.connection_testable is True


# Airflow 3.0 and 3.1 draw with Flask AppBuilder, which Python 3.13 did not have then.
CAN_DRAW = get_base_airflow_version_tuple() >= (3, 2, 0) or find_spec("flask_appbuilder") is not None


def test_airflow_draws_the_form() -> None:
    manager = ProvidersManager()
    for conn_type, fields in FIELDS.items():
        drawn = {name for name in manager.connection_form_widgets if name.startswith(f"extra__{conn_type}__")}
        assert drawn == ({f"extra__{conn_type}__{field.name}" for field in fields} if CAN_DRAW else set())
        if not CAN_DRAW:
            continue
        behaviour = manager.field_behaviours[conn_type]
        login = {"login"} if conn_type == "pai" else set()
        assert set(behaviour["hidden_fields"]) == {"login", "schema"} - login
        assert set(behaviour["relabeling"]) == {"password", "host", "port"} | login


def test_airflow_lists_the_settings_with_their_defaults() -> None:
    """As ``airflow config list``, which hides all values on Airflow 3.3, but with ``--show-values``."""
    shown = {"show_values": True} if "show_values" in signature(conf.write).parameters else {}
    ProvidersManager().initialize_providers_configuration()
    listed = StringIO()
    conf.write(listed, section="audiences", only_defaults=True, include_descriptions=True, **shown)
    for name, option in INFO["config"]["audiences"]["options"].items():
        assert f"{name} = {option['default']}" in listed.getvalue()
        assert re.search("[Dd]efault", option["description"]), "for those who list descriptions, and no values"
