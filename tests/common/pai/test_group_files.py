"""Files for PAI: their names, their addresses, and that they come and go."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from hypothesis import given
from hypothesis import strategies as st
from support.airflow_versions import attach

from airflow_provider_audiences.common.masked import Masked
from airflow_provider_audiences.common.pai.group_files import OSS_URI_TEMPLATE, GroupFiles
from airflow_provider_audiences.exceptions import InvalidInputError, StateUnavailableError
from airflow_provider_audiences.members.identifiers.kinds import PhoneNumbers
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings

TEMPLATE = "https://people.oss-cn-hangzhou.aliyuncs.com/{key}"
NUMBERS = [f"139{number:08d}" for number in range(250)]


def files_of(
    folder: Any, *, name: str = "VIP", owner: str = "0bdcc716", uri_template: Any = TEMPLATE, conn_id: Any = None
) -> GroupFiles:
    return GroupFiles(folder, conn_id=conn_id, uri_template=uri_template, name=name, owner=owner)


@pytest.fixture
def staged() -> Iterator[Any]:
    with stage(
        ValuesInput(chunks=iter([NUMBERS]), name="source"),
        rules=StagingRules(),
        identifier_kind=PhoneNumbers(phone_format="cn_mobile"),
        settings=StagingSettings(),
    ) as members:
        yield members


@pytest.fixture(autouse=True)
def _memory() -> None:
    """A store in memory behind memory://."""
    attach("memory", fs=fsspec.filesystem("memory"))


class TestNames:
    def test_tell_owners_names_and_sets_apart(self, tmp_path: Path) -> None:
        names = {
            files_of(tmp_path, name=name, owner=owner).file_name(fingerprint)
            for name in ("VIP", "vip", "VIP ", "V-I-P", "客户", "顾客", "a" * 50, "a" * 51)
            for owner in ("00000001", "00000002")
            for fingerprint in ("0" * 64, "1" * 64)
        }
        assert len(names) == 8 * 2 * 2
        assert all(re.fullmatch(r"[A-Za-z0-9-]{1,70}\.txt", name) for name in names)

    @given(name=st.text(min_size=1))
    def test_are_such_as_any_store_takes(self, name: str) -> None:
        file_name = files_of("/stage", name=name).file_name("0123456789abcdef" * 4)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,69}\.txt", file_name)

    def test_stay_the_same(self, tmp_path: Path) -> None:
        """A later version has to find the files of an earlier one."""
        assert files_of(tmp_path).file_name("ab" * 32) == "VIP-614e35fc15-abababababababab.txt"


class TestAddresses:
    @pytest.mark.parametrize(
        ("folder", "address"),
        [
            ("memory://bucket", "https://bucket.oss-cn-hangzhou.aliyuncs.com/x.txt"),
            ("memory://bucket/", "https://bucket.oss-cn-hangzhou.aliyuncs.com/x.txt"),
            ("memory://bucket/a/b", "https://bucket.oss-cn-hangzhou.aliyuncs.com/a/b/x.txt"),
            ("memory://bucket/a/b//", "https://bucket.oss-cn-hangzhou.aliyuncs.com/a/b/x.txt"),
            ("memory://bucket/a b/ä+#%20?~", "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%20b/%C3%A4%2B%23%2520%3F~/x.txt"),
        ],
    )  # fmt: skip
    def test_follow_from_the_place(self, folder: str, address: str) -> None:
        assert files_of(folder, uri_template=OSS_URI_TEMPLATE).uri("x.txt") == address

    @pytest.mark.parametrize("of", [str, Path, lambda path: f"file://{path}", Masked])
    def test_of_a_folder_on_this_machine_have_the_file_only(
        self, tmp_path: Path, of: Callable[..., Any] | type[Any]
    ) -> None:
        assert files_of(of(str(tmp_path))).uri("x.txt") == "https://people.oss-cn-hangzhou.aliyuncs.com/x.txt"

    @given(folder=st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1))
    def test_lead_back_to_the_key(self, folder: Any) -> None:
        files = files_of(f"memory://bucket/{folder}/z", uri_template=OSS_URI_TEMPLATE)
        address = urlsplit(files.uri("x.txt"))
        assert unquote(address.path) == f"/{folder}/z/x.txt"
        assert (address.query, address.fragment) == ("", "")

    @pytest.mark.parametrize(
        "template",
        ["{key}", "x", "{bucket}", "https://{key", "https://{bucket}.aliyuncs.com/{key}{region}", "{key!r}}",
         TEMPLATE.replace("key", "key!r"), TEMPLATE.replace("key", "key:>99"), 7, ["{key}"]],
    )  # fmt: skip
    def test_need_a_template_that_says_where_the_file_is(self, tmp_path: Path, template: Any) -> None:
        with pytest.raises(InvalidInputError, match="uri"):
            files_of(tmp_path, uri_template=template)

    @pytest.mark.parametrize(
        ("template", "said"),
        [
            ("https://example.com/{key}", r"makes https://example\.com/VIP-[0-9a-f]{10}-\.txt, and "),
            (OSS_URI_TEMPLATE, r"makes https://\.oss-cn-hangzhou\S+, and .*; a folder on this machine has no bucket"),
            ("https://me:sesame@b.oss-cn-hangzhou.aliyuncs.com/{key}", r"makes https://me:\*\*\*@b\.oss"),
            ("https://b.aliyuncs.com/{key}?Signature=sesame", r"makes https://b\.aliyuncs\.com/\S+\.txt\?…, and "),
        ],
    )
    def test_that_are_none_are_told(self, tmp_path: Path, template: Any, said: str) -> None:
        with pytest.raises(InvalidInputError, match=f"^uri_template {said}") as refusal:
            files_of(tmp_path, uri_template=template)
        assert "sesame" not in str(refusal.value)

    def test_of_a_store_are_told_without_a_word_of_this_machine(self) -> None:
        with pytest.raises(InvalidInputError, match=r"^uri_template makes https://bucket/VIP-") as refusal:
            files_of("memory://bucket", uri_template="https://{bucket}/{key}")
        assert "on this machine" not in str(refusal.value)

    def test_are_known_for_oss_only(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"is not in OSS: say in uri_template .*\{bucket\}"):
            files_of(tmp_path, uri_template=None)
        with pytest.raises(InvalidInputError) as refusal:
            files_of("s3://key:sesame@bucket/x?token=sesame", uri_template=None)
        assert "sesame" not in str(refusal.value)


class TestFiles:
    @pytest.fixture(params=["folder", "store"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        return tmp_path / "stage" if request.param == "folder" else f"memory://{tmp_path.name}/stage"

    @staticmethod
    def listed(place: Any) -> dict[str, Any]:
        path = ObjectStoragePath(f"file://{place}" if isinstance(place, Path) else place)
        return {file.name: file.read_text() for file in path.iterdir()} if path.exists() else {}

    def test_hold_one_number_a_line(self, place: Any, staged: Any, caplog: pytest.LogCaptureFixture) -> None:
        files = files_of(place, uri_template=f"{TEMPLATE}?Signature=sesame")
        with caplog.at_level("INFO"):
            size = files.put(files.file_name("0" * 64), staged, settings=StagingSettings())
        [(name, text)] = self.listed(place).items()
        assert (name, size) == (files.file_name("0" * 64), len(text.encode()))
        assert text.endswith("\n")
        assert sorted(text.splitlines()) == NUMBERS
        assert "Wrote 250 members" in caplog.text
        address = files.uri(name).removesuffix("?Signature=sesame")
        assert address.startswith("https://people.oss-cn-hangzhou.aliyuncs.com/")
        assert f"PAI reads them at {address}?…." in caplog.text
        assert "sesame" not in caplog.text
        assert not [number for number in NUMBERS if number in caplog.text]

    def test_are_written_over_by_the_next_try(self, place: Any, staged: Any) -> None:
        for _ in range(2):
            files = files_of(place)
            files.put(files.file_name("0" * 64), staged, settings=StagingSettings())
        assert len(self.listed(place)) == 1

    def test_of_this_audience_are_removed_and_no_others(self, place: Any, staged: Any) -> None:
        ours = files_of(place)
        others = [files_of(place, name="VIP 2"), files_of(place, owner="00000002"), files_of(place, name="VI")]
        for files in (ours, *others):
            for fingerprint in ("0" * 64, "1" * 64):
                files.put(files.file_name(fingerprint), staged, settings=StagingSettings())
        assert len(self.listed(place)) == 8
        ours.remove_all()
        assert sorted(self.listed(place)) == sorted(
            files.file_name(fingerprint) for files in others for fingerprint in ("0" * 64, "1" * 64)
        )
        ours.remove_all()  # nothing there is no failure

    def test_leave_nothing_in_temporary_folders(self, place: Any, staged: Any, scratch: Path) -> None:
        files = files_of(place)
        files.put("x.txt", staged, settings=StagingSettings())
        assert list(scratch.iterdir()) == []

    def test_that_can_not_be_written_say_what_to_check(self, tmp_path: Path, staged: Any) -> None:
        (tmp_path / "file").touch()
        files = files_of(tmp_path / "file/stage")
        for call in (lambda: files.put("x.txt", staged, settings=StagingSettings()), files.remove_all):
            with pytest.raises(StateUnavailableError, match="Check stage_path, its connection") as failure:
                call()
            assert not [number for number in NUMBERS if number in str(failure.value)]
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
