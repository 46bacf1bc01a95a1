"""Bundles and results as files: one side writes, the other reads, and refuses where a byte is not theirs."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from deltann.core.errors import BoardError, ResultsError
from deltann.core.hashing import digest_bytes
from deltann.fleet import bundle as module
from deltann.fleet.bundle import read_result, write_bundle
from deltann.fleet.kit_content import Entry
from deltann.fleet.kit_file import write_kit
from deltann_agent import bundle as agent
from deltann_agent.errors import BundleError
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

ARTIFACT, INPUTS = b"an artifact", b"some inputs"
STRIDE = 7  # of the bytes that are changed: not all, and not in step with any field


@pytest.fixture
def bundle(tmp_path) -> Path:
    blobs = {}
    for data in (ARTIFACT, INPUTS):
        blobs[digest_bytes(data)] = tmp_path / data.decode()
        blobs[digest_bytes(data)].write_bytes(data)
    request = pb.RunTrialRequest(artifact_digest=digest_bytes(ARTIFACT))
    request.inputs.digest = digest_bytes(INPUTS)
    path = tmp_path / "s.bundle"
    write_bundle(path, [request, request], blobs, None)
    return path


@pytest.fixture
def result(bundle, tmp_path) -> Path:
    """What an agent leaves that has executed the bundle; its trials all failed."""
    opened = agent.unpack(bundle, tmp_path / "s.result")
    (opened.folder / "description.pb").write_bytes(
        pb.Description(machine=pb.Machine(hostname="vault")).SerializeToString()
    )
    (opened.folder / "events").mkdir()
    for trial in opened.trials:
        data = pb.TrialEvent(failed=pb.Failed(message=f"trial {trial}")).SerializeToString()
        (opened.folder / f"events/{trial}.pb").write_bytes((agent.LENGTH.pack(len(data)) + data) * 2)
    agent._pack_result(opened, tmp_path / "s.result")
    return tmp_path / "s.result"


def content_of_bundle(path: Path, place: Path) -> list[bytes]:
    opened = agent.unpack(path, place)
    files = opened.files(opened.request("000"))
    return [opened.trials, files.artifact.read_bytes(), files.inputs.read_bytes()]


def content_of_result(path: Path) -> list:
    found = read_result(path)
    return [found.bundle, found.description, found.trials, *map(list, map(found.events, found.trials))]


def changed(data: bytes, tmp_path: Path):
    """Give the file with one byte changed, for many bytes, then the file cut short at many places."""
    path = tmp_path / "changed"
    for place in range(0, len(data), STRIDE):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :])
        yield path
    for length in range(0, len(data), STRIDE):
        path.write_bytes(data[:length])
        yield path


def test_what_one_side_writes_the_other_reads(bundle, result, tmp_path):
    assert content_of_bundle(bundle, tmp_path / "x") == [("000", "001"), ARTIFACT, INPUTS]
    digest, description, trials, first, second = content_of_result(result)
    with zipfile.ZipFile(bundle) as archive:
        assert digest == digest_bytes(archive.read("bundle.json"))
    assert description.machine.hostname == "vault"
    assert trials == ("000", "001")
    assert [event.failed.message for event in (*first, *second)] == ["trial 000"] * 2 + ["trial 001"] * 2


def is_refused(read, whole: list, refusal: type[Exception]) -> bool:
    """Whether a file is refused; if not, what is read must be what was written: some bytes mean nothing."""
    try:
        found = read()
    except refusal:
        return True
    assert found == whole
    return False


def test_no_changed_byte_of_a_bundle_gets_in(bundle, tmp_path):
    place = tmp_path / "x"
    whole = content_of_bundle(bundle, place)
    refused = [
        is_refused(lambda path=path: content_of_bundle(path, place), whole, BundleError)
        for path in changed(bundle.read_bytes(), tmp_path)
    ]
    assert sum(refused) > 0.9 * len(refused)


def test_no_changed_byte_of_a_result_gets_in(result, tmp_path):
    whole = content_of_result(result)
    refused = [
        is_refused(lambda path=path: content_of_result(path), whole, ResultsError)
        for path in changed(result.read_bytes(), tmp_path)
    ]
    assert sum(refused) > 0.8 * len(refused)


def rewritten(path: Path, target: Path, **manifest) -> Path:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, json.dumps({**json.loads(data), **manifest}) if name.endswith(".json") else data
            )
    return target


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"protocol": PROTOCOL + 1}, f"made for version {PROTOCOL + 1} of the agent's wire"),
        ({"schema": 99}, "schema 99, this agent has"),
        ({"members": {"../../etc/passwd": ""}}, "a member of a strange name"),
        ({"members": None}, "its bundle.json cannot be read"),
        ({"members": {}}, "it has other members than it lists"),
    ],
)
def test_what_a_bundle_says_of_itself_is_checked(bundle, tmp_path, manifest, words):
    with pytest.raises(BundleError, match=words):
        agent.unpack(rewritten(bundle, tmp_path / "other", **manifest), tmp_path / "x")


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ({"schema": 99}, "it has schema 99, this host reads 1"),
        ({"members": {}}, "it has other members than it lists"),
        ({"members": 5}, "it is no result of a bundle"),
    ],
)
def test_what_a_result_says_of_itself_is_checked(result, tmp_path, summary, words):
    with pytest.raises(ResultsError, match=words):
        read_result(rewritten(result, tmp_path / "other", **summary))


def test_a_board_whose_clock_is_in_1970_writes_a_result(bundle, tmp_path):
    opened = agent.unpack(bundle, tmp_path / "s.result")
    (opened.folder / "events").mkdir()
    for name in ("description.pb", "events/000.pb", "events/001.pb"):
        (opened.folder / name).write_bytes(b"")
        os.utime(opened.folder / name, (5, 5))
    agent._pack_result(opened, tmp_path / "s.result")
    assert read_result(tmp_path / "s.result").trials == ("000", "001")


def test_a_bundle_with_a_kit_is_not_larger_than_what_python_starts(bundle, tmp_path, monkeypatch):
    facts = {"architecture": "riscv64", "python": "3.11", "runtimes": {}, "distributions": {}, "schema": 1}
    kit = write_kit([Entry("bin/deltann-agent", b"x" * 1000)], facts, tmp_path)
    monkeypatch.setattr(module, "MOST_BYTES", kit.size_bytes)
    write_bundle(tmp_path / "small.bundle", [], {}, kit)
    (tmp_path / "blob").write_bytes(b"x")
    with pytest.raises(BoardError, match=r"the bundle would have .*fewer images.*--no-kit"):
        write_bundle(tmp_path / "large.bundle", [], {digest_bytes(b"x"): tmp_path / "blob"}, kit)
    write_bundle(tmp_path / "large.bundle", [], {digest_bytes(b"x"): tmp_path / "blob"}, None)


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BoardError, match=r"the bundle cannot be written: File exists.*--output"):
        write_bundle(tmp_path / "file" / "s.bundle", [], {}, None)
    with pytest.raises(BoardError, match="the bundle cannot be written: No such file"):
        write_bundle(tmp_path / "s.bundle", [], {"0" * 64: tmp_path / "gone"}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
