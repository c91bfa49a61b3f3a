"""Identifier kinds: whatever the package has is masked everywhere."""

import importlib
import pkgutil

from airflow_provider_audiences.members import identifiers
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, IdentifierKind, PhoneNumbers
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS


def kinds() -> set[type]:
    """All classes of the package with a kind's attributes."""
    modules = [
        importlib.import_module(f"{identifiers.__name__}.{found.name}")
        for found in pkgutil.iter_modules(identifiers.__path__)
    ]
    classes = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    return {
        one for one in classes if one is not IdentifierKind and hasattr(one, "patterns") and hasattr(one, "key_bytes")
    }


def test_each_kind_is_masked_in_logs_and_templates() -> None:
    found = kinds()
    assert found >= {AdvertisingIds, PhoneNumbers}
    assert {one.patterns for one in found} == set(ALL_PATTERNS)  # type: ignore[attr-defined]


def test_kinds_of_different_names_store_columns_of_different_names() -> None:
    columns = [one.column for one in kinds()]  # type: ignore[attr-defined]
    assert len(set(columns)) == len(columns)
