"""`deltann convert`: a model into another framework, every hop checked against the source."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deltann.cli.output import Format, FormatOption, err, error_json, out, print_failure, print_json, say
from deltann.cli.study_options import ExecutorName
from deltann.convert.hop import Limits
from deltann.core.conversion import ConversionRecord
from deltann.core.errors import IncompleteRunError, StudyError
from deltann.core.framework import Framework
from deltann.core.words import suggest
from deltann.report.conversion import conversion_view
from deltann.run.cluster import LOCAL, open_crew
from deltann.run.conversion import ConversionRequest, convert_model, write_form

DEADLINE_S = 900
MEMORY_GIB = 8.0


def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A zoo name; or a file: .pt2, .keras, .h5, .savedmodel.zip, .pb, .tflite, .onnx, "
            "or the folder of a SavedModel.",
        ),
    ],
    to: Annotated[str | None, typer.Option("--to", help="Framework: torch, keras, tf, tflite, onnx.")] = None,
    route: Annotated[
        str | None,
        typer.Option(
            "--route", help="The way, e.g. keras,onnx,torch; a converter's name may stand between two."
        ),
    ] = None,
    all_routes: Annotated[
        bool, typer.Option("--all-routes", help="Take the best three ways, not just the best one.")
    ] = False,
    pairs: Annotated[
        bool,
        typer.Option("--pairs", help="From every framework to every other: twenty pairs, as a matrix."),
    ] = False,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Photographs to check on: a folder, or a packaged set (foolbox). Without: random pixels.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Preprocessing of a file, by name (torchvision, tf, ...)."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="Of a zoo entry: imagenet, seeded, seeded N, or a checkpoint's path."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many images.")] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", help="Write the result here.", show_default=False)
    ] = None,
    deadline_s: Annotated[
        int, typer.Option("--deadline", min=1, help="Seconds that one hop may take.")
    ] = DEADLINE_S,
    memory_gib: Annotated[
        float, typer.Option("--memory", min=0.1, help="GiB of memory that one hop may take.")
    ] = MEMORY_GIB,
    executor: ExecutorName = LOCAL,
    output: FormatOption = Format.TEXT,
) -> None:
    """Convert a model to another framework, and check every hop against the source.

    Ends with exit code 10 when a hop crashed, or a check saw more than notes.

    [bold]Examples:[/] deltann convert efficientnet_lite0 --to tflite --images foolbox

    deltann convert keras/mobilenet_v2 --weights seeded --pairs

    deltann convert net.keras --route keras,tf2onnx,onnx,onnx2torch,torch --output net.pt2
    """
    if pairs and (to or route or all_routes or output_file):
        raise StudyError("--pairs goes from every framework to every other", hint="Give it alone")
    request = ConversionRequest(
        model=model,
        target=_framework(to),
        route=tuple(word.strip() for word in route.split(",") if word.strip()) if route else (),
        all_routes=all_routes,
        pairs=pairs,
        images=images,
        recipe=recipe,
        weights=weights,
        limit=limit,
    )
    if route is not None and not request.route:
        raise StudyError("the route is empty", hint="Name frameworks in order, e.g. keras,onnx,torch")
    with open_crew(executor) as crew:
        limits = Limits(deadline_s, int(memory_gib * (1 << 30)), crew=crew)
        record = convert_model(replace(request, limits=limits), lambda text: say(err, text, style="dim"))
    final = next((form for route in record.routes if (form := route.final) is not None), None)
    if output_file is not None and final is not None:
        write_form(final, output_file)
    _conclude(record, output)


def _framework(word: str | None) -> Framework | None:
    if word is None:
        return None
    if word not in set(Framework):
        raise StudyError(f"{word!r} is no framework", where="--to", hint=suggest(word, Framework))
    return Framework(word)


def _conclude(record: ConversionRecord, output: Format) -> None:
    failure = _failure(record)
    if output is Format.JSON:
        print_json({**record.to_json(), **({"error": error_json(failure)} if failure else {})})
    else:
        out.print(conversion_view(record))
        if failure:
            print_failure(failure, as_json=False)
    if failure:
        raise typer.Exit(failure.exit_code)


def _failure(record: ConversionRecord) -> IncompleteRunError | None:
    unsound = [route for route in record.routes if not route.sound]
    if not unsound:
        return None
    failed = sum(route.final is None for route in unsound)
    words = f"{failed} gave no model" if failed else "the checks saw more than notes"
    return IncompleteRunError(
        f"{len(unsound)} of {len(record.routes)} routes did not convert {record.model} faithfully: {words}",
        hint="The findings say at which hop, and what is otherwise",
    )
