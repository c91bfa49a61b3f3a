"""
AppLovin's Suppression API, version 1.1: users whom an app's campaigns leave alone.

An app has one list. Users can be added and removed; the list can't be read, counted or replaced. Users stay on it until
they are removed.

Source of every statement about the API: AppLovin's Suppression API document, version 1.1 (August 2024).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_audiences.http.calls import GiveUp
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.advice import SuppressionAdvice
from airflow_provider_audiences.platforms.applovin.api_client import AppLovinApiClient
from airflow_provider_audiences.platforms.applovin.audiences import package_name_of
from airflow_provider_audiences.platforms.applovin.defaults import (
    AUDIENCE_LIMITS,
    PLATFORM_NAME,
    REJECTION_HINT,
    with_deadline,
)
from airflow_provider_audiences.redaction import MaskedBytes, Secret
from airflow_provider_audiences.sync.destination import AudienceAddress, BatchResult
from airflow_provider_audiences.validation import required_text

SUPPRESSION_LIMITS = replace(AUDIENCE_LIMITS, default_ttl_seconds=None, can_replace=False)
"""The document names no limits: those of audiences, at the same host, are used."""


class AppLovinSuppressionClient(AppLovinApiClient):
    """
    Client of the Suppression API for one account.

    :param api_key: Suppression API Key; or the Management Key of accounts that have none.
    :param key_name: name of that key, for messages.
    :param arguments: further arguments of
        :class:`~airflow_provider_audiences.platforms.applovin.api_client.AppLovinApiClient`.
    """

    def __init__(self, *, api_key: Secret, key_name: str = "Management Key", **arguments: Any) -> None:
        super().__init__(api_key=api_key, advice=SuppressionAdvice(key_name), **arguments)

    def add_users(
        self, *, package_name: str, advertising_ids: bytes | MaskedBytes, give_up: GiveUp | None = None
    ) -> BatchResult:
        """
        Add users to an app's list. Users who are on it already are no error.

        :param package_name: the app's package name (Android) or bundle ID (iOS).
        :param advertising_ids: one ID a line.
        :param give_up: called before each repetition; if it returns true, the error is raised instead.
        """
        advertising_ids = MaskedBytes.of(advertising_ids)
        return self._send_users("add", "/suppressionApps", package_name, advertising_ids, give_up)

    def delete_users(
        self, *, package_name: str, advertising_ids: bytes | MaskedBytes, give_up: GiveUp | None = None
    ) -> BatchResult:
        """
        Remove users from an app's list. Users who are not on it are no error.

        :param package_name: the app's package name (Android) or bundle ID (iOS).
        :param advertising_ids: one ID a line.
        :param give_up: called before each repetition; if it returns true, the error is raised instead.
        """
        advertising_ids = MaskedBytes.of(advertising_ids)
        return self._send_users("delete", "/deleteSuppressionApps", package_name, advertising_ids, give_up)

    def _send_users(
        self, verb: str, path: str, package_name: str, advertising_ids: MaskedBytes, give_up: GiveUp | None
    ) -> BatchResult:
        return self._upload(
            f"applovin.suppression_{verb}",
            path,
            query={"package_name": package_name_of(package_name)},
            advertising_ids=advertising_ids,
            give_up=give_up,
        )


class SuppressionDestination:
    """
    An app's suppression list; a :class:`~airflow_provider_audiences.sync.destination.Destination`.

    :param client: client of the app's account.
    :param package_name: package name or bundle ID of the app.
    :param identifier_kind: advertising IDs, in the case in which they are written.
    :param account: what tells the accounts apart that sync the list of one app, so that each has a ledger of its own;
        None (default) if there is one account.
    """

    platform_name = PLATFORM_NAME
    rejection_hint = REJECTION_HINT
    limits = SUPPRESSION_LIMITS

    def __init__(
        self,
        client: AppLovinSuppressionClient,
        package_name: str,
        *,
        identifier_kind: AdvertisingIds,
        account: str | None = None,
    ) -> None:
        self._client = client
        self.limits = with_deadline(self.limits, client.request_deadline_seconds)
        self._package_name = package_name
        self.identifier_kind = identifier_kind
        self.max_member_bytes = identifier_kind.line_bytes
        self.address = AudienceAddress(
            api="applovin-suppression",
            host=client.host,
            audience_id=package_name,
            account="" if account is None else required_text("account", account),
        )

    @property
    def requests_sent(self) -> int:
        """Number of requests that the client has sent so far."""
        return self._client.requests_sent

    def add(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        """Add users to the list, until they are removed."""
        return self._client.add_users(package_name=self._package_name, advertising_ids=batch.lines(), give_up=give_up)

    def remove(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:
        """Remove users from the list."""
        return self._client.delete_users(
            package_name=self._package_name, advertising_ids=batch.lines(), give_up=give_up
        )

    def replace(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:
        """Raise an error: the API can't replace a list, and the limits say so."""
        raise NotImplementedError

    def member_count(self) -> int | None:
        """Return None: the API does not count."""
        return None
