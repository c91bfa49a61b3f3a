"""The identifier kind of tests that are not about kinds."""

from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

ID_KIND = AdvertisingIds()
