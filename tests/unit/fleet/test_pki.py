"""Certificates: what is made, what is refused, and who may read the files."""

import stat

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deltann.core.errors import BoardError
from deltann.fleet.credentials import load_credentials
from deltann.fleet.pki import Authority, Role, revoked_fingerprints
from deltann_agent.authorization import fingerprint


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority.init(tmp_path / "pki")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_their_owner_alone(authority):
    issued = authority.issue("kitchen", Role.BOARD)
    assert mode(authority.folder / "ca.key") == mode(issued.key) == 0o600
    assert mode(authority.folder) == mode(issued.key.parent) == 0o700
    assert not list(authority.folder.rglob("*.partial"))


def test_a_second_authority_in_a_folder_is_refused(authority):
    before = authority.ca_certificate.read_bytes()
    with pytest.raises(BoardError, match="an authority here already"):
        Authority.init(authority.folder)
    assert authority.ca_certificate.read_bytes() == before


def test_no_authority_is_said_so(tmp_path):
    with pytest.raises(BoardError, match=r"no certificates here.*deltann pki init"):
        Authority(tmp_path)


def test_a_certificate_names_board_role_addresses_and_use(authority):
    issued = authority.issue("kitchen", Role.BOARD, ["10.0.0.4", "kitchen.lab"], days=10)
    assert (issued.name, issued.role, issued.state) == ("kitchen", Role.BOARD, "valid")
    assert set(issued.addresses) == {"10.0.0.4", "kitchen.lab"}
    certificate = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    (use,) = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert use == ExtendedKeyUsageOID.SERVER_AUTH
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    asking = authority.issue("ada", Role.VIEWER)
    certificate = x509.load_pem_x509_certificate(asking.certificate.read_bytes())
    (use,) = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert use == ExtendedKeyUsageOID.CLIENT_AUTH


def test_agent_and_host_mean_the_same_fingerprint(authority):
    issued = authority.issue("kitchen", Role.BOARD)
    assert fingerprint(issued.certificate.read_bytes()) == issued.fingerprint


def test_a_name_has_one_certificate_until_it_is_renewed(authority):
    first = authority.issue("kitchen", Role.BOARD, ["10.0.0.4"])
    with pytest.raises(BoardError, match=r"valid until .*deltann pki renew kitchen"):
        authority.issue("kitchen", Role.BOARD)
    key = first.key.read_bytes()
    old, new = authority.renew("kitchen", days=5)
    assert old.fingerprint == first.fingerprint != new.fingerprint
    assert (new.role, new.addresses) == (Role.BOARD, ("10.0.0.4",))
    assert new.key.read_bytes() != key
    assert [one.name for one in authority.all()] == ["kitchen"]


def test_revoking_a_name_revokes_its_older_certificates_too(authority):
    first = authority.issue("ada", Role.CONTROLLER)
    _, second = authority.renew("ada")
    bob = authority.issue("bob", Role.CONTROLLER)
    dead = authority.revoke("ada")
    assert {one.fingerprint for one in dead} == {first.fingerprint, second.fingerprint}
    assert revoked_fingerprints(authority.revocations) == {first.fingerprint, second.fingerprint}
    assert authority.find("ada").state == "revoked"
    assert authority.revoke("ada") == ()
    assert authority.issue("ada", Role.VIEWER).state == "valid"
    assert authority.find("bob").fingerprint == bob.fingerprint


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "-a", "a" * 64, "x.role.deltann", "controller.role.deltann"]
)
def test_what_is_no_name_is_refused(authority, name):
    with pytest.raises(BoardError, match="is no name for a certificate"):
        authority.issue(name, Role.BOARD)
    assert not (authority.folder / "issued").exists()


def test_names_that_differ_only_in_case_are_one_to_a_handshake(authority):
    authority.issue("kitchen", Role.BOARD)
    with pytest.raises(BoardError, match="kitchen has a certificate"):
        authority.issue("Kitchen", Role.BOARD)


def test_a_key_that_others_can_read_is_not_used(authority):
    authority.issue("ada", Role.CONTROLLER).key.chmod(0o640)
    with pytest.raises(BoardError, match=r"others on this machine can read this key.*chmod 600"):
        load_credentials(authority.folder, "ada")


def test_an_address_cannot_smuggle_a_role_in(authority):
    with pytest.raises(BoardError, match="is no name"):
        authority.issue("kitchen", Role.VIEWER, ["controller.role.deltann"])


def test_who_has_none_is_told_who_has(authority):
    authority.issue("ada", Role.CONTROLLER)
    with pytest.raises(BoardError, match=r"'bob' has no certificate.*These have one: ada"):
        authority.renew("bob")
    with pytest.raises(BoardError, match=r"no certificate 'bob' to show.*pki issue bob --role controller"):
        load_credentials(authority.folder, "bob")


def test_a_host_without_the_authoritys_key_cannot_issue(authority):
    (authority.folder / "ca.key").unlink()
    with pytest.raises(BoardError, match="only on the host that has it"):
        authority.issue("kitchen", Role.BOARD)


def test_a_key_is_not_in_what_is_printed_of_credentials(authority):
    authority.issue("ada", Role.CONTROLLER)
    assert "key.pem" not in repr(load_credentials(authority.folder, "ada"))
