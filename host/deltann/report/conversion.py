"""A conversion as a table of hops and lines of findings for the terminal."""

from typing import TYPE_CHECKING

from deltann.core.comparison import Severity
from deltann.core.conversion import ConversionRecord, HopRecord, RouteRecord
from deltann.core.conversion_matrix import ConversionMatrix, conversion_matrix
from deltann.core.format import MISSING, format_bytes, format_duration, format_number, format_share

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_HEADINGS = ("time", "size", "largest\ndifference", "labels\nchanged", "weights\nfound")


def conversion_view(record: ConversionRecord) -> "RenderableType":
    """Return one table for each route, or a matrix of many; the findings of the hops; what was left out."""
    from rich.console import Group
    from rich.text import Text

    matrix = conversion_matrix(record.routes)

    parts: list[RenderableType] = [
        Text(
            f"{record.model} ({record.source.framework}, {format_bytes(record.source.size_bytes)}), "
            f"checked on {record.images}"
        )
    ]
    if matrix:
        parts += [_matrix_table(matrix), *_grave_lines(matrix)]
    for route in () if matrix else record.routes:
        parts += [_hops_table(route), *_finding_lines(route), _conclusion(route)]
    parts += [
        Text.assemble(("left out: ", "yellow"), f"{route}: {reason}") for route, reason in record.skipped
    ]
    return Group(*parts)


def _matrix_table(matrix: ConversionMatrix) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="From each row to each column: largest difference to the model, labels changed, time",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    for framework in matrix.frameworks:
        table.add_column(framework.value, justify="right", no_wrap=True)
    for source in matrix.frameworks:
        cells = (matrix.cells.get((source, target)) for target in matrix.frameworks)
        table.add_row(Text(source.value, style="bold"), *(_matrix_cell(route) for route in cells))
    return table


def _matrix_cell(route: RouteRecord | None) -> "Text":
    from rich.text import Text

    if route is None:
        return Text(MISSING, style="dim")
    end, agreement = route.end, route.end.agreement
    if route.final is None:
        return Text(f"no model\n{end.converter}", style="bold red")
    if agreement is None:
        return Text(f"cannot run\n{end.converter}", style="bold red")
    confident = agreement.flips > agreement.near_ties
    return Text.assemble(
        (f"{format_number(agreement.max_abs)}\n", "" if route.sound else "yellow"),
        (f"{agreement.flips} of {agreement.images}\n", "bold red" if confident else ""),
        (format_duration(route.seconds * 1e9), "dim"),
    )


def _grave_lines(matrix: ConversionMatrix) -> "list[Text]":
    """Return every finding that is more than a note, once however many routes begin with its hop."""
    from rich.text import Text

    lines: dict[str, Text] = {}
    for route in matrix.cells.values():
        for hop in route.hops:
            for finding in hop.findings:
                if finding.severity is not Severity.NOTE:
                    words = f"{hop.source} to {hop.target} by {hop.converter}: {finding.text}"
                    line = Text.assemble((f"{finding.severity.value}: ", _STYLES[finding.severity]), words)
                    lines.setdefault(words, line)
    return list(lines.values())


def _hops_table(route: RouteRecord) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=route.text, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("hop, converter", overflow="fold")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("findings", no_wrap=True)
    for hop in route.hops:
        table.add_row(*_cells(hop))
    return table


def _cells(hop: HopRecord) -> "list[Text]":
    from rich.text import Text

    agreement, weights = hop.agreement, hop.weights
    package = next(iter(hop.versions), "")
    version = f"{package} {hop.versions.get(package, '')}".strip()
    duration = format_duration(hop.seconds * 1e9)
    return [
        Text(f"{hop.source} to {hop.target}\n{hop.converter}\n").append(version, style="dim"),
        Text(f"{duration}\n").append("kept", style="dim") if hop.cached else Text(duration),
        Text(format_bytes(hop.form.size_bytes if hop.form else None)),
        Text(format_number(agreement.max_abs) if agreement else MISSING),
        _labels(hop),
        Text(format_share(weights.share) if weights else MISSING),
        _worst(hop),
    ]


def _labels(hop: HopRecord) -> "Text":
    from rich.text import Text

    agreement = hop.agreement
    if agreement is None:
        return Text(MISSING)
    confident = agreement.flips > agreement.near_ties
    return Text(f"{agreement.flips} of {agreement.images}", style="bold red" if confident else "")


def _worst(hop: HopRecord) -> "Text":
    from rich.text import Text

    if hop.worst is None:
        return Text("none", style="dim")
    count = sum(finding.severity is hop.worst for finding in hop.findings)
    return Text(f"{count} {hop.worst.value}{'s' if count > 1 else ''}", style=_STYLES[hop.worst])


def _finding_lines(route: RouteRecord) -> "list[Text]":
    from rich.text import Text

    return [
        Text.assemble(
            (f"{finding.severity.value}: ", _STYLES[finding.severity]),
            (f"{hop.source} to {hop.target}: ", "dim"),
            finding.text,
        )
        for hop in route.hops
        for finding in hop.findings
    ]


def _conclusion(route: RouteRecord) -> "Text":
    first = route.first_changed
    if first is not None:
        words = f"Labels change first at {first.source} to {first.target} by {first.converter}."
        return _line(words, "bold red")
    if route.final is None:
        last = route.hops[-1]
        words = f"It ends at {last.source} to {last.target}: the end of its log is in {last.log}"
        return _line(words, "bold red")
    return _line(f"Made: {route.final.path}", "dim")


def _line(text: str, style: str) -> "Text":
    """Return a line that is never wrapped, so that a path in it stays in one piece."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ignore")
