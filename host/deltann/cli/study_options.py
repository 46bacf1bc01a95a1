"""The words of `run` and `plan` that say what is to be studied: a study file, or a model and options."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from deltann.run.fleet import Lab
from deltann.study.study import Study, load_studies, study_from_options

STUDY_SUFFIXES = {".yaml", ".yml"}
_PANEL = "Without a study file"

Subject = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY.yaml | MODEL",
        help="A study file; or a model: a zoo name (efficientnet_lite0) or a model file.",
        show_default=False,
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        "--images",
        help="Folder of images, or a packaged set (foolbox).",
        rich_help_panel=_PANEL,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option("--levels", help="Optimization levels, e.g. O0,O3.", rich_help_panel=_PANEL),
]
Runtimes = Annotated[
    str | None,
    typer.Option(
        "--runtimes", help="Runtimes: tvm,onnxruntime,tflite,torch,tensorflow.", rich_help_panel=_PANEL
    ),
]
Importers = Annotated[
    str | None,
    typer.Option("--importers", help="Importers of TVM: torch,onnx,tflite.", rich_help_panel=_PANEL),
]
Devices = Annotated[
    str | None,
    typer.Option("--devices", help="What computes with TVM: cpu,cuda,opencl.", rich_help_panel=_PANEL),
]
Batch = Annotated[
    str | None,
    typer.Option("--batch", help="Images that one run takes at once, e.g. 1,8.", rich_help_panel=_PANEL),
]
Threads = Annotated[
    str | None,
    typer.Option("--threads", help="Numbers of threads, e.g. 1,2.", rich_help_panel=_PANEL),
]
Boards = Annotated[
    str | None,
    typer.Option(
        "--boards",
        help="Boards or groups of the inventory, and local, e.g. local,rpi.",
        rich_help_panel=_PANEL,
    ),
]
InventoryFile = Annotated[
    Path | None,
    typer.Option("--inventory", help="Ansible's inventory, for boards other than local.", show_default=False),
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Who converts, builds and compares: local, or a Dask scheduler's workers, dask://HOST:PORT.",
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Preprocessing of a model file, by name (torchvision, tf, ...).",
        rich_help_panel=_PANEL,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most so many images.", rich_help_panel=_PANEL),
]
Rounds = Annotated[
    int | None,
    typer.Option("--rounds", min=1, help="How often each image is run.", rich_help_panel=_PANEL),
]
TimingName = Annotated[
    str | None,
    typer.Option(
        "--timing",
        help="Let the variants of a board take turns, and time them: cold, warm or soaked.",
        rich_help_panel=_PANEL,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", help="How well to know each ratio of times, e.g. 2%.", rich_help_panel=_PANEL
    ),
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", help="Time for taking turns on a board, e.g. 2min.", rich_help_panel=_PANEL),
]


@dataclass(frozen=True, slots=True)
class StudyWords:
    """What the command line says of a study; None where it says nothing."""

    subject: str | None
    images: str | None
    levels: str | None
    runtimes: str | None
    importers: str | None
    devices: str | None
    batch: str | None
    threads: str | None
    boards: str | None
    recipe: str | None
    limit: int | None
    rounds: int | None
    timing: str | None = None
    precision: str | None = None
    budget: str | None = None

    def given(self) -> list[str]:
        """Return what was said, by the words of the command line."""
        values = asdict(self)
        subject = values.pop("subject")
        return [
            *([subject] if subject else []),
            *(f"--{name}" for name, value in values.items() if value is not None),
        ]

    def read(self, lab: Lab) -> tuple[Study, ...]:
        """Return the studies that the words ask for, one for each model, with boards of that lab.

        Raises
        ------
        typer.BadParameter
            If the words contradict each other.
        StudyError
            If the study file, or an option, asks for something that cannot be.
        """
        if self.subject is None:
            raise typer.BadParameter("name a study file, or a model with --images")
        if Path(self.subject).suffix in STUDY_SUFFIXES:
            _, *options = self.given()
            if options:
                raise typer.BadParameter(f"a study file says it all: leave out {', '.join(options)}")
            return load_studies(Path(self.subject), lab.known_boards)
        if self.images is None:
            raise typer.BadParameter(f"--images is needed with the model {self.subject}")
        study = study_from_options(
            self.subject,
            self.images,
            levels=_words(self.levels),
            runtimes=_words(self.runtimes),
            importers=_words(self.importers),
            devices=_words(self.devices),
            batches=_numbers("--batch", self.batch),
            threads=_numbers("--threads", self.threads),
            boards=_words(self.boards),
            recipe=self.recipe,
            limit=self.limit,
            rounds=self.rounds,
            timing=self.timing,
            precision=self.precision,
            budget=self.budget,
            known_boards=lab.known_boards,
        )
        return (study,)

    def read_one(self, lab: Lab) -> Study:
        """Return the study that the words ask for, which must have one model; raises as `read`."""
        studies = self.read(lab)
        if len(studies) > 1:
            raise typer.BadParameter(f"{self.subject} has {len(studies)} models, and this takes one")
        return studies[0]


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _numbers(option: str, text: str | None) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise typer.BadParameter(f"{option} takes whole numbers with commas between, not {text!r}") from None
