"""A group as the API shows it."""

from typing import Any, ClassVar

import pytest

from airflow_provider_audiences.platforms.pai.groups import AudienceGroup

URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/folder/file.csv"


class TestGroupFromApi:
    SAMPLE: ClassVar[dict[str, Any]] = {
        "Algorithm": "user_recall",
        "Amount": 0,
        "Column": "phone",
        "CreatedTime": "2020-01-01 12:00:00",
        "Filter": "ds=20220101",
        "Id": "0a54e195-03e2-40bd-869d-b71cb302783e",
        "InferenceJobId": "job",
        "Name": "VIP\u5ba2\u6237",
        "PhoneNumber": True,
        "Project": "project",
        "Remark": "r",
        "Source": 0,
        "Status": 0,
        "Table": "recall",
        "Text": "1390000****",
        "UpdatedTime": "2020-01-01 12:00:00",
        "Uri": URI,
    }

    def test_sample(self) -> None:
        group = AudienceGroup.from_api(self.SAMPLE)

        assert (group.id, group.name, group.status, group.amount, group.source) == (
            self.SAMPLE["Id"],
            "VIP\u5ba2\u6237",
            0,
            0,
            0,
        )
        assert (group.phone_number, group.inference_job_id, group.history) == (True, "job", "")
        assert group.public() == {
            "id": self.SAMPLE["Id"],
            "name": "VIP\u5ba2\u6237",
            "status": 0,
            "amount": 0,
            "source": 0,
            "phone_number": True,
            **{name: self.SAMPLE[name.capitalize()] for name in ("project", "table", "column", "filter", "algorithm")},
            "inference_job_id": "job",
            "remark": "r",
            "uri": URI,
            "campaign_id": "",
            "history": "",
            "created_time": "2020-01-01 12:00:00",
            "updated_time": "2020-01-01 12:00:00",
        }

    def test_nothing(self) -> None:
        group = AudienceGroup.from_api({})

        assert (group.status, group.amount, group.source, group.phone_number) == (None, 0, None, None)
        assert (group.id, group.uri, group.public()["uri"]) == ("", "", "")

    @pytest.mark.parametrize(
        ("uri", "shown"),
        [
            ("https://[b/x.csv", "https://[b/x.csv"),
            ("https://b.oss-cn-hangzhou.aliyuncs.com]/x?token=s", "https://b.oss-cn-hangzhou.aliyuncs.com]/x"),
            (f"{URI}?token=s#part", URI),
            (f"{URI}#part?token=s", URI),
            ("?#", ""),
        ],
    )
    def test_an_address_that_is_none_is_shown_without_its_query(self, uri: str, shown: str) -> None:
        assert AudienceGroup.from_api({"Uri": uri}).public()["uri"] == shown

    @pytest.mark.parametrize(
        ("value", "number"),
        [
            ("9" * 5000, None),
            ("2", 2),
            (2.0, 2),
            (2.5, None),
            (True, None),
            ("x", None),
            ("-1", -1),
            (None, None),
            ([], None),
        ],
    )
    def test_numbers_in_any_form(self, value: Any, number: int | None) -> None:
        assert AudienceGroup.from_api({"Status": value}).status == number
        assert AudienceGroup.from_api({"Amount": value}).amount == (number or 0)
