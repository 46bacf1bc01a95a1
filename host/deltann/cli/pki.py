"""`deltann pki`: the certificates of host and boards."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from deltann.cli.output import Format, FormatOption, out, print_json, say
from deltann.fleet.pki import LEAF_DAYS, Authority, Issued, Role, pki_folder

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--pki",
        help="Folder of the authority; else DELTANN_PKI, else in your configuration.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(help="A board's name in the inventory, or a person's.")]
Days = Annotated[int, typer.Option("--days", min=1, help="How long it is valid.")]

_STATES = {"valid": "green", "expired": "yellow", "revoked": "red"}


@app.callback()
def common() -> None:
    """Make, renew and revoke the certificates that host and boards show each other.

    [bold]Example:[/] deltann pki init
    """


@app.command("init")
def init(pki: Folder = None, output: FormatOption = Format.TEXT) -> None:
    """Make an authority on this host. Its key stays here.

    [bold]Example:[/] deltann pki init
    """
    authority = Authority.init(pki or pki_folder())
    if output is Format.JSON:
        print_json({"pki": str(authority.folder)})
        return
    say(out, f"The authority is in {authority.folder}. Keep ca.key there, and a copy in a safe place.")
    say(out, "Next: deltann pki issue controller --role controller")


@app.command("issue")
def issue(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="board serves, controller does all, viewer looks.")],
    address: Annotated[
        list[str] | None,
        typer.Option("--address", help="Host name or IP address to name as well; may be given again."),
    ] = None,
    days: Days = LEAF_DAYS,
    pki: Folder = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Issue a certificate with its key.

    [bold]Examples:[/] deltann pki issue controller --role controller

    deltann pki issue kitchen --role board --address 10.0.0.4
    """
    issued = Authority(pki or pki_folder()).issue(name, role, address or (), days)
    _show([issued], output, f"Issued to {name}, until {issued.not_after:%Y-%m-%d}: {issued.certificate}")


@app.command("renew")
def renew(name: Name, days: Days = LEAF_DAYS, pki: Folder = None, output: FormatOption = Format.TEXT) -> None:
    """Issue the same certificate anew, with another key. The old one stays valid until its own end.

    [bold]Example:[/] deltann pki renew kitchen
    """
    old, issued = Authority(pki or pki_folder()).renew(name, days)
    ending = f"The old one is {old.state}" + (
        f" until {old.not_after:%Y-%m-%d}" if old.state == "valid" else ""
    )
    _show(
        [issued],
        output,
        f"Renewed {name}, until {issued.not_after:%Y-%m-%d}: {issued.certificate}. {ending}.",
    )


@app.command("revoke")
def revoke(name: Name, pki: Folder = None, output: FormatOption = Format.TEXT) -> None:
    """Let nobody accept the certificates of a name any more; the playbook takes the list to the boards.

    [bold]Example:[/] deltann pki revoke alice
    """
    authority = Authority(pki or pki_folder())
    dead = authority.revoke(name)
    many = "certificate" if len(dead) == 1 else "certificates"
    _show(
        list(dead),
        output,
        f"Revoked {len(dead)} {many} of {name}. Boards refuse them once they have {authority.revocations}: "
        "ansible-playbook ansible/site.yml --tags pki",
    )


@app.command("list")
def list_(pki: Folder = None, output: FormatOption = Format.TEXT) -> None:
    """Show who has a certificate, and until when.

    [bold]Example:[/] deltann pki list
    """
    issued = Authority(pki or pki_folder()).all()
    if output is Format.JSON:
        print_json({"certificates": [_to_json(one) for one in issued]})
        return
    table = Table("name", "role", "until", "state", "addresses")
    for one in issued:
        state = Text(one.state, style=_STATES[one.state])
        table.add_row(one.name, one.role.value, f"{one.not_after:%Y-%m-%d}", state, ", ".join(one.addresses))
    out.print(table)


def _show(issued: list[Issued], output: Format, words: str) -> None:
    if output is Format.JSON:
        print_json({"certificates": [_to_json(one) for one in issued]})
    else:
        say(out, words)


def _to_json(issued: Issued) -> dict[str, Any]:
    return {
        "name": issued.name,
        "role": issued.role.value,
        "addresses": list(issued.addresses),
        "not_after": issued.not_after.isoformat(),
        "state": issued.state,
        "fingerprint": issued.fingerprint,
        "certificate": str(issued.certificate),
    }
