"""The curl commands of the two documents, run as they are but for host, key and ids."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator

APPLOVIN_HOST = "https://api.applovin.com"
PAI_HOST = "https://api.aliyun.com"
GROUP_ID = "0bddaf8f-5628-427a-8652-5e24f6b4c35d"

CREATE = (
    'curl "https://api.applovin.com/audiences/create?name=My%20Audience%20Name'
    '&package_name=my.app.bundleId&platform=ios&api_key=<API_KEY>"'
)
LIST = 'curl "https://api.applovin.com/audiences/list?api_key=<API_KEY>"'
UPDATE = (
    'curl -X POST --data-binary @userIds.txt "https://api.applovin.com/audiences/update'
    '?audience_id=<AUDIENCE_ID>&ttl_seconds=2592000&api_key=<API_KEY>"'
)
APPEND = UPDATE.replace("/update", "/append")
DELETE = 'curl "https://api.applovin.com/audiences/delete?audience_id=<AUDIENCE_ID>&api_key=<API_KEY>"'
USER_IDS = "c77bbe4e-6a28-11e4-bcda-14109fdf9591\nf601faf5-4a83-44d6-98ef-b67c24919d39\n"

CREATE_GROUP = """curl -X POST https://api.aliyun.com/api/PaiPlugin/2022-01-12/CreateGroup \\
-H "Authorization: Bearer $DASHSCOPE_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
  "Name": "VIP customers",
  "Source": 0,
  "Text": "1390000****",
  "PhoneNumber": true
}'"""
GET_GROUP = f"""curl -X GET 'https://api.aliyun.com/api/PaiPlugin/2022-01-12/GetGroup?Id={GROUP_ID}' \\
-H 'Authorization: Bearer $DASHSCOPE_API_KEY'"""
DELETE_GROUP = f"""curl -X DELETE https://api.aliyun.com/api/PaiPlugin/2022-01-12/DeleteGroup/{GROUP_ID} \\
-H "Authorization: Bearer $DASHSCOPE_API_KEY\""""
LIST_GROUPS = """curl -X GET 'https://api.aliyun.com/api/PaiPlugin/2022-01-12/ListGroups?PageNumber=1&PageSize=10' \\
-H 'Authorization: Bearer $DASHSCOPE_API_KEY'"""

# What of curl the samples use, for machines without it.
FAKE_CURL = f"""#!{sys.executable}
import sys, requests
arguments, method, headers, data, url = sys.argv[1:], "GET", {{}}, None, None
while arguments:
    word = arguments.pop(0)
    if word == "-X":
        method = arguments.pop(0)
    elif word == "-H":
        name, _, value = arguments.pop(0).partition(": ")
        headers[name] = value
    elif word == "-d":
        data = arguments.pop(0).encode()
    elif word == "--data-binary":
        data = open(arguments.pop(0)[1:], "rb").read()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif word != "-s":
        url = word
sys.stdout.buffer.write(requests.request(method, url, headers=headers, data=data).content)
"""


@pytest.fixture(params=["curl", "requests"])
def run(request: pytest.FixtureRequest, tmp_path: Path, audiences_emulator: AudiencesEmulator) -> Callable[..., str]:
    """Runs a sample in a shell, in a directory with the sample's file of IDs."""
    (tmp_path / "userIds.txt").write_text(USER_IDS)
    path = os.environ["PATH"]
    if request.param == "requests":
        fake = tmp_path / "curl"
        fake.write_text(FAKE_CURL)
        fake.chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{path}"
    elif not shutil.which("curl"):
        pytest.skip("curl is not installed")

    def run_sample(sample: str, **names: str) -> str:
        command = sample
        values = {APPLOVIN_HOST: audiences_emulator.url, PAI_HOST: audiences_emulator.url, **names}
        values.setdefault("<API_KEY>", audiences_emulator.api_key)
        for old, new in values.items():
            command = command.replace(old, new)
        environment = {"PATH": path, "DASHSCOPE_API_KEY": audiences_emulator.api_key, "NO_PROXY": "*"}
        command = command.replace("curl ", "curl -s ", 1)
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    return run_sample


def test_the_applovin_samples(run: Callable[..., str], audiences_emulator: AudiencesEmulator) -> None:
    audience_id = json.loads(run(CREATE))["audience_id"]
    assert re.fullmatch(r"[0-9a-f]{32}", audience_id)
    names = {"<AUDIENCE_ID>": audience_id}
    assert json.loads(run(UPDATE, **names)) == {
        "audience_id": audience_id,
        "num_valid_ids": 2,
        "num_invalid_ids": 0,
    }
    assert json.loads(run(APPEND, **names)) == {
        "audience_id": audience_id,
        "num_valid_ids": 2,
        "num_invalid_users": 0,
    }
    listed = json.loads(run(LIST))
    assert listed == {
        "code": 200,
        "audiences": [
            {
                "audience_id": audience_id,
                "name": "My Audience Name",
                "package_name": "my.app.bundleId",
                "platform": "ios",
                "description": "",
                "user_count": "2",
            }
        ],
        "count": 1,
    }
    expiries = audiences_emulator.member_expiries(audience_id).values()
    assert all(abs(expiry - audiences_emulator.now() - 2592000) < 60 for expiry in expiries)
    assert run(DELETE, **names) == ""
    assert audiences_emulator.audiences() == []


def test_the_pai_samples(run: Callable[..., str], audiences_emulator: AudiencesEmulator) -> None:
    created = json.loads(run(CREATE_GROUP))
    assert (created["ErrorCode"], created["ErrorMessage"]) == (0, "OK")
    group = created["Data"]
    assert (group["Name"], group["Text"], group["PhoneNumber"]) == ("VIP customers", "1390000****", True)
    expanded = {
        GROUP_ID: group["Id"],
        "'Authorization: Bearer $DASHSCOPE_API_KEY'": '"Authorization: Bearer $DASHSCOPE_API_KEY"',
    }
    assert json.loads(run(GET_GROUP, **expanded))["Data"] == {**group, "CampaignId": "", "History": ""}
    listed = json.loads(run(LIST_GROUPS, **expanded))["Data"]
    assert listed == {"Groups": [group], "PageNumber": 1, "PageSize": 10, "TotalCount": 1}
    assert json.loads(run(DELETE_GROUP, **expanded))["ErrorCode"] == 0
    assert audiences_emulator.groups() == []


def test_two_samples_send_the_name_of_a_variable_as_the_key(run: Callable[..., str]) -> None:
    # The document puts them in single quotes, within which a shell replaces nothing.
    for sample in (GET_GROUP, LIST_GROUPS):
        assert json.loads(run(sample))["ErrorCode"] == 403
