"""Metadata of this provider package, which Airflow asks for through an entry point."""

from __future__ import annotations

from typing import Any

from airflow_provider_audiences import __version__
from airflow_provider_audiences.common.connection_fields import (
    APPLOVIN_FIELDS,
    APPLOVIN_UI,
    PAI_FIELDS,
    PAI_UI,
    conn_fields,
    ui_field_behaviour,
)

_PACKAGE = "airflow_provider_audiences"
_APPLOVIN = "AppLovin Audiences"
_PAI = "Alibaba PAI Audience Groups"
_MODULES = {
    _APPLOVIN: {
        "hooks": ["applovin"],
        "operators": ["applovin", "applovin_sync", "applovin_suppression", "applovin_changes"],
        "sensors": ["applovin"],
        "triggers": ["applovin"],
    },
    _PAI: {
        "hooks": ["pai"],
        "operators": ["pai", "pai_refresh", "pai_sync"],
        "sensors": ["pai"],
        "triggers": ["pai", "pai_events"],
    },
}
"""The public modules of each platform, by package."""


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata: connection types with their fields, modules, assets, decorators and settings."""
    return {
        "package-name": "airflow-provider-audiences",
        "name": "Audiences",
        "description": "Keeps audiences at AppLovin and Alibaba PAI equal to what a data platform holds.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _APPLOVIN,
                "external-doc-url": "https://support.applovin.com/",
                "tags": ["service"],
            },
            {
                "integration-name": _PAI,
                "external-doc-url": "https://www.alibabacloud.com/help/en/pai/",
                "tags": ["service"],
            },
        ],
        **{kind: _modules(kind) for kind in ("hooks", "operators", "sensors", "triggers")},
        "cli": [f"{_PACKAGE}.cli.definition.get_cli_commands"],
        "notifications": [f"{_PACKAGE}.notifications.notifier.AudienceStateNotifier"],
        "filesystems": [f"{_PACKAGE}.common.pai.oss"],
        "asset-uris": _asset_uris("sanitize_uri"),
        "dataset-uris": _asset_uris("normalize_uri"),  # what Airflow 2 reads
        "connection-types": [
            {
                "connection-type": "applovin",
                "hook-class-name": f"{_PACKAGE}.hooks.applovin.AppLovinHook",
                "hook-name": "AppLovin",
                "ui-field-behaviour": ui_field_behaviour(APPLOVIN_UI),
                "conn-fields": conn_fields(APPLOVIN_FIELDS),
            },
            {
                "connection-type": "pai",
                "hook-class-name": f"{_PACKAGE}.hooks.pai.PaiHook",
                "hook-name": "Alibaba PAI audiences",
                "ui-field-behaviour": ui_field_behaviour(PAI_UI),
                "conn-fields": conn_fields(PAI_FIELDS),
            },
        ],
        # Airflow reads class-name; each is a function.
        "task-decorators": [
            {"name": f"applovin_{name}", "class-name": f"{_PACKAGE}.decorators.applovin.{name}_task"}
            for name in ("sync_audience", "sync_suppression", "update_audience", "append_users", "remove_users")
        ]
        + [{"name": "pai_sync_group", "class-name": f"{_PACKAGE}.decorators.pai.sync_group_task"}],
        "config": {
            "audiences": {
                "description": "How members are staged, and where is kept what was sent.",
                "options": {
                    "memory_limit": {
                        "description": "Memory that staging takes before it goes on in files, for each task. "
                        "A number with a unit: KB, MB, GB or KiB, MiB, GiB. By default 512MB.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "2GB",
                        "default": "512MB",
                    },
                    "temp_folder": {
                        "description": "Folder that staging writes its files to, for as long as the task runs; they "
                        "hold members. Empty, the default, for the system's temporary folder.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/mnt/scratch",
                        "default": "",
                    },
                    "state_path": {
                        "description": "Where syncs keep their ledgers: a folder that all workers see, or an address "
                        "in an object store, such as s3://connection@bucket/prefix. They hold members. Empty, the "
                        "default, for the folder audiences below AIRFLOW_HOME, which only fits a single worker.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@bucket/audiences",
                        "default": "",
                    },
                    "state_path_is_shared": {
                        "description": "Whether all workers see the same folder at state_path although it is a path on "
                        "a disk, or there is only one worker. Without it, syncs whose executor has several workers "
                        "refuse a path on a worker's own disk. By default False.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                },
            }
        },
    }


def _asset_uris(handler: str) -> list[dict[str, Any]]:
    return [
        {
            "schemes": [scheme],
            "handler": f"{_PACKAGE}.assets.uris.{handler}",
            "factory": f"{_PACKAGE}.assets.{scheme}.create_asset",
            "to_openlineage_converter": f"{_PACKAGE}.assets.airflow_assets.convert_asset_to_openlineage",
        }
        for scheme in ("applovin", "pai")
    ]


def _modules(kind: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": title,
            "python-modules": [f"{_PACKAGE}.{kind}.{name}" for name in modules[kind]],
        }
        for title, modules in _MODULES.items()
        if kind in modules
    ]
