"""What converting a model showed: one record a hop, its findings, and the route they make."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from deltann.core.comparison import Severity
from deltann.core.form import Form


class Kind(StrEnum):
    """What a finding of a hop is about."""

    CRASH = "crash"
    LIMIT = "limit"
    MISSING = "missing"
    UNUSABLE = "unusable"
    NOT_A_NUMBER = "not_a_number"
    WEIGHTS_LOST = "weights_lost"
    WEIGHTS_CHANGED = "weights_changed"
    EPSILON = "epsilon"
    OPSET = "opset"
    INPUT = "input"
    LAYOUT = "layout"
    OUTPUT = "output"
    OUTPUTS = "outputs"
    LABELS = "labels"
    CHANNELS = "channels"
    CLASSES = "classes"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class HopFinding:
    """One thing that a check saw.

    Attributes
    ----------
    severity
        A note says what is otherwise and allowed to be; anything else makes the conversion end with code 10.
    text
        For people, one sentence without a full stop.
    numbers
        The same for programs.
    """

    kind: Kind
    severity: Severity
    text: str
    numbers: dict[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Outputs of a form against those of the source, over the check images.

    Attributes
    ----------
    max_abs
        Largest absolute difference; None where a side has no numbers.
    span
        Largest minus smallest output of the source.
    tolerance
        What rounding explains, in the units of the outputs.
    flips
        Images whose label changed.
    near_ties
        Those of them that rounding explains.
    """

    images: int
    max_abs: float | None
    span: float
    tolerance: float
    flips: int
    near_ties: int


@dataclass(frozen=True, slots=True)
class WeightShare:
    """How many of the source's parameters were found again.

    Attributes
    ----------
    parameters
        Numbers in all weights of the source.
    share
        Of them found in the target, 0..1.
    by_kind
        Number of parameters found as `same`, `transposed`, `folded`, ...
    digest
        Hash of all weights found, in the source's order of axes; equal sources give equal digests.
    unmatched
        Names of the source's weights that were not found, the largest first, with their sizes.
    """

    parameters: int
    share: float
    by_kind: dict[str, int]
    digest: str
    unmatched: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class HopRecord:
    """One hop of a route: what was run, how long, what came out, what the checks saw.

    Attributes
    ----------
    versions
        Of every package with a hand in the result.
    seconds
        Wall time of the conversion alone, of the run that made the file.
    cached
        Whether an earlier run made the file.
    form, agreement, weights
        None where there is none.
    log
        Path of what the converter printed.
    """

    converter: str
    source: str
    target: str
    versions: dict[str, str]
    seconds: float
    cached: bool
    form: Form | None
    agreement: Agreement | None
    weights: WeightShare | None
    findings: tuple[HopFinding, ...]
    log: str | None

    @property
    def worst(self) -> Severity | None:
        """The severity of its worst finding."""
        order = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
        return min((finding.severity for finding in self.findings), key=order.index, default=None)


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route that was run: its hops up to the one that gave no file.

    Attributes
    ----------
    source, target
        The frameworks that it is about. Where the model is of a third, the first `lead` hops only bring it to
        `source`.
    """

    text: str
    hops: tuple[HopRecord, ...]
    planned_hops: int
    source: str
    target: str
    lead: int = 0

    @property
    def final(self) -> Form | None:
        """The form at the end; None where a hop gave none."""
        return self.hops[-1].form if len(self.hops) == self.planned_hops else None

    @property
    def seconds(self) -> float:
        """Wall time of the conversions between source and target."""
        return sum(hop.seconds for hop in self.hops[self.lead :])

    @property
    def end(self) -> HopRecord:
        """The last hop that was run."""
        return self.hops[-1]

    @property
    def first_changed(self) -> HopRecord | None:
        """The first hop after which labels are not those of the source, near-ties aside."""
        changed = (
            hop for hop in self.hops if hop.agreement and hop.agreement.flips > hop.agreement.near_ties
        )
        return next(changed, None)

    @property
    def sound(self) -> bool:
        """Whether it came to its end and no check saw more than notes."""
        return self.final is not None and all(hop.worst in {None, Severity.NOTE} for hop in self.hops)


@dataclass(frozen=True, slots=True)
class ConversionRecord:
    """A model converted: the source as a form, the images it was checked on, every route.

    Attributes
    ----------
    images
        Where the check images come from, in words.
    source_s
        Time to bring the source into its form, seconds.
    skipped
        Routes that were not run, with the reason.
    """

    model: str
    source: Form
    images: str
    source_s: float
    routes: tuple[RouteRecord, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def sound(self) -> bool:
        """Whether every route is."""
        return all(route.sound for route in self.routes)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return {
            "model": self.model,
            "source": self.source.to_json(),
            "images": self.images,
            "source_s": self.source_s,
            "routes": [_route_json(route) for route in self.routes],
            "skipped": [{"route": route, "reason": reason} for route, reason in self.skipped],
        }


def _route_json(route: RouteRecord) -> dict[str, Any]:
    first = route.first_changed
    return {
        "route": route.text,
        "sound": route.sound,
        "first_changed": first.converter if first else None,
        "hops": [_hop_json(hop) for hop in route.hops],
    }


def _hop_json(hop: HopRecord) -> dict[str, Any]:
    form = hop.form.to_json() if hop.form else None
    return {**asdict(replace(hop, form=None)), "form": form}
