"""The identifier kind of tests that are not about kinds, and batches of it."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

ID_KIND = AdvertisingIds()


def batch_of(ids: Sequence[str]) -> MemberBatch:
    """Return advertising IDs as a batch."""
    keys = np.frombuffer(b"".join(UUID(member).bytes for member in ids), ">u8").reshape(-1, 2).astype(np.uint64)
    return MemberBatch(keys, ID_KIND)
