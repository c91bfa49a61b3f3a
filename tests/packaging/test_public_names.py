"""Names that users write in their DAGs: changing one is a breaking change, and this test is where it shows."""

import importlib
import inspect
from typing import Any

import pytest

from airflow_provider_audiences.get_provider_info import get_provider_info

ASSET = {"account": None, "asset": None}
REFRESH = {
    "keep_previous": 0,
    "delete_failed": True,
    "provenance": None,
    "allow_older_run": False,
    "min_amount": 1,
    "ready_statuses": None,
    "failed_statuses": None,
    "timeout": 6 * 3600,
    "poke_interval": 60,
    "max_poke_interval": 600,
    "max_poll_failures": 5,
    "deferrable": False,
    "pai_conn_id": "pai_default",
    **ASSET,
}
KINDS = ("hooks", "operators", "sensors", "triggers")
NAMES = {
    "hooks.applovin": {"AppLovinHook": {"applovin_conn_id": "applovin_default"}},
    "hooks.pai": {"PaiHook": {"pai_conn_id": "pai_default"}},
    "operators.applovin": {
        "AppLovinCreateAudienceOperator": {
            "name": ...,
            "platform": ...,
            "package_name": None,
            "description": None,
            "audience_type": "retargeting",
            "if_exists": "fail",
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinListAudiencesOperator": {
            "name": None,
            "platform": None,
            "package_name": None,
            "applovin_conn_id": "applovin_default",
        },
        "AppLovinUpdateAudienceOperator": {
            "audience_id": ...,
            "source": ...,
            "ttl_seconds": None,
            "allow_empty": False,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "id_case": "lower",
            "dry_run": False,
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinAppendUsersOperator": {
            "audience_id": ...,
            "source": ...,
            "ttl_seconds": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "id_case": "lower",
            "dry_run": False,
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinRemoveUsersOperator": {
            "audience_id": ...,
            "source": ...,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "on_malformed": "fail",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "id_case": "lower",
            "dry_run": False,
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinDeleteAudienceOperator": {
            "audience_id": ...,
            "ignore_missing": False,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
    },
    "operators.applovin_sync": {
        "AppLovinSyncAudienceOperator": {
            "audience_id": None,
            "name": None,
            "platform": None,
            "package_name": None,
            "description": None,
            "audience_type": "retargeting",
            "ttl_seconds": None,
            "refresh_before_seconds": None,
            "initial": "fail",
            "max_drift": 0.05,
            "drift_patience_seconds": 60,
            "source": ...,
            "suppress": None,
            "mode": "mirror",
            "on_lost_ledger": "fail",
            "allow_empty": False,
            "max_removed_ratio": 0.3,
            "max_added_ratio": None,
            "max_removed": None,
            "max_added": None,
            "min_members": 0,
            "min_suppressed": 0,
            "suppress_on_malformed": "fail",
            "allow_older_run": False,
            "release_held_back": False,
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "plan_only": False,
            "partition": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinApplyPlanOperator": {
            "audience_id": ...,
            "max_drift": 0.05,
            "drift_patience_seconds": 60,
            "plan_id": ...,
            "override_guards": False,
            "partition": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
    },
    "operators.applovin_suppression": {
        "AppLovinSyncSuppressionOperator": {
            "package_name": ...,
            "source": ...,
            "suppress": None,
            "mode": "mirror",
            "on_lost_ledger": "fail",
            "allow_empty": False,
            "max_removed_ratio": 0.3,
            "max_added_ratio": None,
            "max_removed": None,
            "max_added": None,
            "min_members": 0,
            "min_suppressed": 0,
            "suppress_on_malformed": "fail",
            "allow_older_run": False,
            "release_held_back": False,
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "plan_only": False,
            "partition": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinApplySuppressionPlanOperator": {
            "package_name": ...,
            "plan_id": ...,
            "override_guards": False,
            "partition": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinAddSuppressionOperator": {
            "package_name": ...,
            "source": ...,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "id_case": "lower",
            "dry_run": False,
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinRemoveSuppressionOperator": {
            "package_name": ...,
            "source": ...,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "on_malformed": "fail",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            "id_case": "lower",
            "dry_run": False,
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
    },
    "operators.applovin_changes": {
        "AppLovinSendChangesOperator": {
            "audience_id": ...,
            "refreshed": None,
            "ttl_seconds": None,
            "max_removed_ratio": 0.3,
            "max_added_ratio": None,
            "min_members": 0,
            "added": None,
            "removed": None,
            "expected_changes": None,
            "on_ledger": "fail",
            "max_removed": None,
            "max_added": None,
            "allow_older_run": False,
            "on_malformed": "fail",
            "max_malformed_ratio": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
        "AppLovinSendSuppressionChangesOperator": {
            "package_name": ...,
            "added": None,
            "removed": None,
            "expected_changes": None,
            "on_ledger": "fail",
            "max_removed": None,
            "max_added": None,
            "allow_older_run": False,
            "on_malformed": "fail",
            "max_malformed_ratio": None,
            "batch_size": 100_000,
            "max_parallel_requests": 4,
            "id_case": "lower",
            "wait_for_audience_seconds": 3600,
            "applovin_conn_id": "applovin_default",
            **ASSET,
        },
    },
    "operators.pai": {
        "PaiCreateGroupOperator": {
            "provenance": None,
            "source": ...,
            "name": None,
            "text": None,
            "uri": None,
            "phone_number": None,
            "project": None,
            "table": None,
            "column": None,
            "filter": None,
            "algorithm": None,
            "inference_job_id": None,
            "remark": None,
            "if_exists": "create",
            "idempotency": "marker",
            "phone_format": "cn_mobile",
            "pai_conn_id": "pai_default",
            **ASSET,
        },
        "PaiGetGroupOperator": {"group_id": ..., "pai_conn_id": "pai_default"},
        "PaiListGroupsOperator": {
            "name": None,
            "remark": None,
            "phone_number": None,
            "source": None,
            "status": None,
            "limit": None,
            "pai_conn_id": "pai_default",
        },
        "PaiDeleteGroupOperator": {"group_id": ..., "ignore_missing": False, "pai_conn_id": "pai_default", **ASSET},
    },
    "operators.pai_refresh": {
        "PaiReplaceGroupOperator": {
            "name": ...,
            "source": ...,
            "text": None,
            "uri": None,
            "phone_number": None,
            "project": None,
            "table": None,
            "column": None,
            "filter": None,
            "algorithm": None,
            "inference_job_id": None,
            "remark": None,
            "phone_format": "cn_mobile",
            **REFRESH,
        }
    },
    "operators.pai_sync": {
        "PaiSyncGroupOperator": {
            "name": ...,
            "source": ...,
            "suppress": None,
            "stage_path": None,
            "stage_conn_id": None,
            "uri_template": None,
            "delete_file": True,
            "remark": None,
            "force": False,
            "min_members": 1,
            "max_removed_ratio": 0.3,
            "max_added_ratio": None,
            "max_removed": None,
            "max_added": None,
            "min_suppressed": 0,
            "suppress_on_malformed": "fail",
            "phone_format": "cn_mobile",
            "on_malformed": "drop",
            "max_malformed_ratio": None,
            "rejects_path": None,
            "rejects_include_values": False,
            **REFRESH,
        }
    },
    "sensors.applovin": {
        "AppLovinAudienceSensor": {
            "audience_id": None,
            "name": None,
            "platform": None,
            "min_user_count": None,
            "applovin_conn_id": "applovin_default",
            "deferrable": False,
            "max_poll_failures": 5,
        }
    },
    "sensors.pai": {
        "PaiGroupSensor": {
            "group_id": None,
            "group_ids": None,
            "min_amount": 1,
            "ready_statuses": None,
            "failed_statuses": None,
            "pai_conn_id": "pai_default",
            "exponential_backoff": True,
            "max_poke_interval": 600,
            "deferrable": False,
            "max_poll_failures": 5,
        }
    },
    "triggers.pai": {
        "PaiGroupTrigger": {
            "group_id": None,
            "group_ids": None,
            "min_amount": 1,
            "ready_statuses": None,
            "failed_statuses": None,
            "conn_id": ...,
            "poll_interval_seconds": ...,
            "deadline_epoch_seconds": ...,
            "max_poll_failures": ...,
            "max_poll_interval_seconds": None,
            "first_poll_epoch_seconds": 0.0,
            "passed_on": None,
        }
    },
    "triggers.pai_events": {
        "PaiGroupReadyTrigger": {
            "name": ...,
            "conn_id": "pai_default",
            "poll_interval_seconds": 60.0,
            "min_amount": 1,
            "ready_statuses": None,
            "lookback_seconds": 300.0,
        }
    },
    "triggers.applovin": {
        "AppLovinAudienceTrigger": {
            "audience_id": None,
            "name": None,
            "platform": None,
            "min_user_count": None,
            "conn_id": ...,
            "poll_interval_seconds": ...,
            "deadline_epoch_seconds": ...,
            "max_poll_failures": ...,
            "max_poll_interval_seconds": None,
            "first_poll_epoch_seconds": 0.0,
            "passed_on": None,
        }
    },
}


def _arguments(found: Any) -> dict[Any, Any]:
    ours = [base for base in found.__mro__ if base.__module__.startswith("airflow_provider_audiences")]
    return {
        name: ... if parameter.default is parameter.empty else parameter.default
        for base in reversed(ours)
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(inspect.unwrap(base.__init__)).parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }


@pytest.mark.parametrize("module_name", NAMES)
def test_classes_and_their_arguments(module_name: str) -> None:
    module = importlib.import_module(f"airflow_provider_audiences.{module_name}")
    public = {
        name: _arguments(member)
        for name, member in vars(module).items()
        if inspect.isclass(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public == NAMES[module_name]


def test_notifications() -> None:
    from datetime import timedelta

    from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier

    (path,) = get_provider_info()["notifications"]
    assert path == f"{AudienceStateNotifier.__module__}.{AudienceStateNotifier.__qualname__}"
    assert _arguments(AudienceStateNotifier) == {
        "notifiers": ...,
        "drift_beyond": 0.05,
        "expiry_within": timedelta(days=3),
    }


def test_sources() -> None:
    from airflow_provider_audiences import sources

    assert sources.__all__ == ["DAY_BEFORE_RUN", "RUN_DAY", "FileSource", "Source", "SqlSource"]
    assert {name: str(inspect.signature(getattr(sources, name))) for name in ("FileSource", "SqlSource")} == {
        "FileSource": "(path: 'Any', *, column: 'str | int | Sequence[str | int] | None' = None, "
        "conn_id: 'str | None' = None, file_format: 'FileFormat | None' = None, header: 'bool | str' = True, "
        "delimiter: 'str | None' = None, quote: 'str | None' = None, escape: 'str | None' = None, "
        "encoding: 'str | None' = None, null_values: 'Sequence[str]' = (), on_missing: 'OnMissing' = 'fail') -> None",
        "SqlSource": "(conn_id: 'str', sql: 'str', *, column: 'str | None' = None, "
        "parameters: 'Sequence[Any] | Mapping[str, Any] | None' = None, chunk_size: 'int' = 20000) -> None",
    }


def test_pai_sources_have_their_numbers() -> None:
    from airflow_provider_audiences.operators.pai import PaiSource

    assert {member.name: member.value for member in PaiSource} == {
        "TEXT": 0,
        "TEXT_FILE": 1,
        "CSV": 2,
        "MAXCOMPUTE": 3,
        "ALGORITHM": 4,
    }


def test_hooks_take_their_connection_id_by_position() -> None:
    from airflow_provider_audiences.hooks.applovin import AppLovinHook
    from airflow_provider_audiences.hooks.pai import PaiHook

    assert AppLovinHook("a").applovin_conn_id == "a"
    assert PaiHook("p").pai_conn_id == "p"


def test_every_module_for_users_is_here() -> None:
    info = get_provider_info()
    modules = {module for kind in KINDS for entry in info[kind] for module in entry["python-modules"]}
    assert {f"airflow_provider_audiences.{name}" for name in NAMES} == modules
