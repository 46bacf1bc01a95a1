"""Batches in words: nothing is said of them where every run takes one image."""

from collections.abc import Sequence

from deltann.core.comparison import TrialSummary


def has_batches(trials: Sequence[TrialSummary]) -> bool:
    """Return whether a run of some trial takes several images at once."""
    return any(trial.batch > 1 for trial in trials)


def for_images(batch: int) -> str:
    """Return what follows a latency of a run, e.g. ` for 8 images`; empty where it took one image."""
    return f" for {batch} images" if batch > 1 else ""


def batch_sentence(trials: Sequence[TrialSummary]) -> str:
    """Return what latencies are of, and what is compared; empty where every run takes one image."""
    if not has_batches(trials):
        return ""
    return (
        "A latency is of one run, which takes as many images as the trial's batch; trials are compared by "
        "the time for an image."
    )
