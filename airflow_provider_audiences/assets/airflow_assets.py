"""Makes Airflow's assets: of a URI, of what a user gave as ``asset=``, and for OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_audiences.assets.uris import canonical_uri, is_ours
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import a_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset


def asset_of(uri: str, *, extra: Mapping[str, Any] | None = None) -> Asset:
    """
    Return the asset of a URI; its name is the URI too.

    :param uri: URI in the form in which :func:`~airflow_provider_audiences.assets.uris.uri_of` writes it.
    :param extra: what Airflow shows of the asset; None for nothing.
    """
    from airflow.providers.common.compat.sdk import Asset

    # Of a URI with a scheme, Airflow looks for the handler, for which it imports the handlers of all providers and
    # what they import: most of a second whenever a DAG file is parsed. This URI is in its final form already.
    made = Asset("audiences", extra=dict(extra or {}))
    if hasattr(made, "name"):  # Airflow 2 has only the URI
        object.__setattr__(made, "name", uri)
    object.__setattr__(made, "uri", uri)
    return made


def given_asset(value: Any) -> Asset:
    """
    Return the asset that a user gave as an operator's ``asset=``.

    :param value: an asset, or its URI or name as text.
    :raises InvalidInputError: it is something else, or a URI of ours that names nothing. Output of tasks and templates
        are refused, since Airflow must know assets when it parses the DAG file.
    """
    from airflow.providers.common.compat.sdk import Asset

    if isinstance(value, Asset):
        return value
    if not isinstance(value, str) or not value.strip() or "{{" in value or "{%" in value:
        what = "a template or an empty text" if isinstance(value, str) else a_type(value)
        raise InvalidInputError(f"asset is {what}: give an Asset, or its URI as text, which is known in the DAG file")
    return asset_of(canonical_uri(value)) if is_ours(value) else Asset(value)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:  # noqa: ARG001 - Airflow's
    """
    Return an asset as a dataset of OpenLineage: platform and account are its namespace.

    :param asset: asset with a URI of ours.
    :param lineage_context: of Airflow; not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    parts = urlsplit(asset.uri)
    return OpenLineageDataset(namespace=f"{parts.scheme}://{parts.netloc}", name=parts.path.removeprefix("/"))
