"""The same images through the same artifact: a trial of ours against DeltaNN's loop over TVM's RPC."""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.material import Subject, lite0, rolled, small_net
from benchmarks.ours import Done, send_and_run
from benchmarks.row import Row, median_ratio
from benchmarks.setting import Setting, say
from benchmarks.tvm_rpc import RemoteModel, session
from deltann.core.inputs import InputSet
from deltann.fleet.local import LocalBoard

BOUNDS = {"Lite0": 1.8, "a 1 ms model": 4.0}
TOLERANCE = 1e-4


def run(setting: Setting) -> list[Row]:
    """Return a row for EfficientNet-Lite0 and one for a small network."""
    return [asyncio.run(_row(setting, subject)) for subject in (lite0(setting), small_net(setting))]


async def _row(setting: Setting, subject: Subject) -> Row:
    pairs = 3 if setting.quick else 9
    say(f"  {subject.name}: {len(subject.inputs.samples)} images, {pairs} times each, in turn")
    ours: list[Done] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as name, session(setting.threads) as remote:
        model = RemoteModel(remote, subject)
        async with (
            LocalBoard(Path(name) / "store") as board,
            board.connect() as client,
            client.lease() as lease,
        ):
            # Starts the worker, as connecting has started theirs.
            await send_and_run(client, lease, subject, subject.inputs, setting.threads)
            for turn in range(1, pairs + 1):
                inputs = rolled(subject.inputs, turn, Path(name))
                images = _floats(inputs)
                for who in ("ours", "theirs") if turn % 2 else ("theirs", "ours"):
                    if who == "ours":
                        ours.append(await send_and_run(client, lease, subject, inputs, setting.threads))
                    else:
                        begun = perf_counter()
                        scores = await asyncio.to_thread(model.run, images)  # meanwhile our lease is renewed
                        theirs.append(perf_counter() - begun)
                _check_same(ours[-1].measured.outputs[:], scores)
    our_s, their_s = [[done.wall_s] for done in ours], [[wall_s] for wall_s in theirs]
    return Row(
        "rpc",
        f"{subject.name}: times faster than TVM RPC",
        ours=float(np.median(our_s)),
        theirs=float(np.median(their_s)),
        unit="s",
        ratio=median_ratio(their_s, our_s),
        relation=">=",
        bound=BOUNDS[subject.name],
        n=str(pairs),
        note=f"{len(subject.inputs.samples)} images, {setting.threads} threads. Ours: sending the images, "
        f"loading the artifact, running ({np.median([done.running_s for done in ours]):.2f} s inside the "
        "executor), getting the scores. Theirs: the loop alone, artifact sent and loaded before",
    )


def _floats(inputs: InputSet) -> NDArray[np.float32]:
    """Return the inputs as the model sees them: the loop over RPC gets them ready."""
    count, channels = len(inputs.samples), inputs.shape[inputs.channel_axis]
    pixels = np.fromfile(inputs.path, np.uint8).reshape(count, *inputs.shape)
    tables = np.frombuffer(inputs.lookup or b"", "<f4").reshape(channels, 256)
    axis = inputs.channel_axis + 1
    planes = [table[pixels.take(channel, axis=axis)] for channel, table in enumerate(tables)]
    return np.ascontiguousarray(np.stack(planes, axis=axis), dtype=np.float32)


def _check_same(ours: NDArray[np.generic], theirs: NDArray[np.float32]) -> None:
    difference = float(np.abs(np.subtract(ours, theirs, dtype=np.float64)).max())
    if difference > TOLERANCE:
        raise RuntimeError(f"the two ways give scores that differ by {difference:g}: no comparison of times")
