"""Words of the command line that name run folders."""

from typing import Annotated

import typer

from deltann.core.place import Place
from deltann.results.place import find_place

RunPlace = Annotated[
    Place,
    typer.Argument(
        parser=find_place, metavar="RUN", help="A run folder, or its s3:// URL.", show_default=False
    ),
]

RunPlaces = Annotated[
    list[Place],
    typer.Argument(
        parser=find_place,
        metavar="RUN",
        help="A run folder, or its s3:// URL; or several, a model each.",
        show_default=False,
    ),
]
