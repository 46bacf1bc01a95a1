"""What this host shows to boards, and what it trusts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deltann.core.errors import BoardError
from deltann.fleet.pki import Authority, Role, check_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of one identity.

    Attributes
    ----------
    name
        In the certificate.
    ca, certificate, key
        PEM files: the authority, our certificate, its key.
    revoked
        The list of revoked certificates; a board that shows one of them is refused.
    """

    name: str
    ca: Path
    certificate: Path
    key: Path = field(repr=False)
    revoked: Path


def load_credentials(folder: Path, name: str) -> Credentials:
    """Return the credentials of a controller or viewer.

    Raises
    ------
    BoardError
        If there is no such certificate, or it cannot be used any more.
    """
    authority = Authority(folder)
    issued = authority.find(name)
    again = f"Run: deltann pki renew {name}"
    if issued is None:
        raise BoardError(
            f"this host has no certificate {name!r} to show to boards",
            where=str(folder),
            hint=f"Run: deltann pki issue {name} --role controller",
        )
    if issued.role is Role.BOARD:
        raise BoardError(
            f"the certificate {name!r} is a board's, with which nobody can ask",
            where=str(folder),
            hint="Run: deltann pki issue NAME --role controller, and name it in DELTANN_IDENTITY",
        )
    if issued.state == "expired":
        days = (datetime.now(UTC) - issued.not_after).days
        raise BoardError(
            f"the certificate {name!r} expired on {issued.not_after:%Y-%m-%d}, {days} days ago",
            where=str(folder),
            hint=again,
        )
    if issued.state == "revoked":
        raise BoardError(f"the certificate {name!r} is revoked", where=str(folder), hint=again)
    check_private(issued.key)
    return Credentials(name, authority.ca_certificate, issued.certificate, issued.key, authority.revocations)
