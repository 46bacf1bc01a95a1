"""What an authority refuses, and what it bounds."""

import stat
import subprocess
import sys

import pytest

from deltann.core.errors import BoardError
from deltann.fleet.pki import Authority, Role, revoked_fingerprints

REVOKE = """
import sys
from pathlib import Path
from deltann.fleet.pki import Authority
Authority(Path(sys.argv[1])).revoke(sys.argv[2])
"""


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority.init(tmp_path / "pki")


def test_an_empty_folder_is_taken_and_made_private(tmp_path):
    folder = tmp_path / "pki"
    folder.mkdir(mode=0o755)
    Authority.init(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    mode = tmp_path.stat().st_mode
    with pytest.raises(BoardError, match="not empty"):
        Authority.init(tmp_path)
    assert tmp_path.stat().st_mode == mode
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("days", [9000, 10**9])
def test_nothing_outlives_its_authority(authority, days):
    from cryptography import x509

    ca = x509.load_pem_x509_certificate(authority.ca_certificate.read_bytes())
    assert authority.issue("kitchen", Role.BOARD, days=days).not_after == ca.not_valid_after_utc


@pytest.mark.parametrize("name", ["a..b", "a.", ".a", "*.lab", "a b"])
def test_a_name_that_no_handshake_can_ask_for_is_refused(authority, name):
    with pytest.raises(BoardError, match="is no name"):
        authority.issue(name, Role.BOARD)


def test_the_key_of_an_authority_that_others_can_read_is_not_used(authority):
    (authority.folder / "ca.key").chmod(0o640)
    with pytest.raises(BoardError, match=r"others on this machine can read this key.*chmod 600"):
        authority.issue("kitchen", Role.BOARD)


def test_no_list_of_revocations_is_no_trust(authority):
    authority.revocations.unlink()
    with pytest.raises(BoardError, match=r"cannot be read.*an empty file means"):
        revoked_fingerprints(authority.revocations)


def test_revocations_at_the_same_time_all_count(authority):
    issued = [authority.issue(f"p{index}", Role.VIEWER) for index in range(6)]
    processes = [
        subprocess.Popen([sys.executable, "-c", REVOKE, str(authority.folder), one.name]) for one in issued
    ]
    assert [process.wait(60) for process in processes] == [0] * 6
    assert revoked_fingerprints(authority.revocations) == {one.fingerprint for one in issued}
