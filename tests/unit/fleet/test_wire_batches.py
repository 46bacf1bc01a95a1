"""Trials of batches on the wire: what is asked for, and what is made of what comes back."""

import numpy as np
import pytest

from deltann.core.artifact import Artifact, TensorSpec
from deltann.core.block import Phase, Place
from deltann.core.factors import Importer, Runtime
from deltann.core.inputs import InputSet
from deltann.core.timing import Timing
from deltann.core.trial import TimingProtocol, Trial
from deltann.core.variant import Variant
from deltann.fleet.block_wire import BlockEvents, block_to_proto
from deltann.fleet.wire import TrialEvents, trial_to_proto
from deltann_agent.errors import InvalidError
from deltann_agent.request import TrialFiles, check_inputs_file, check_request, make_order
from deltann_proto.v1 import agent_pb2 as pb

COUNT, BATCH, WIDTH = 6, 4, 2
PLACE = Place("local", "t", twin=False, lap=3, turn=0, launch=0, phase=Phase.MEASURE)


def trial(batch=BATCH, rounds=2):
    variant = Variant(Runtime.ONNXRUNTIME, Importer.ONNX, None, threads=1, batch=batch)
    return Trial("t", "v", variant, "local", "k", TimingProtocol(rounds=rounds))


def request(tmp_path, **changes):
    spec = TensorSpec("x", (BATCH, 3, 2, 2), "float32")
    output = TensorSpec("y", (BATCH, WIDTH), "float32")
    artifact = Artifact("k", Runtime.ONNXRUNTIME, tmp_path, "d" * 64, 1, spec, output, None, (), (), {}, 0.0)
    lookup = np.zeros((3, 256), "<f4").tobytes()
    inputs = InputSet(tmp_path, "1" * 64, (1, 3, 2, 2), 1, lookup, (None,) * COUNT, (), ())
    made = trial_to_proto("lease", trial(), artifact, inputs)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def events(outputs=COUNT * WIDTH, changed=(1, 5)):
    """What an agent sends of two rounds of two runs."""
    values = np.arange(outputs, dtype="<f4").tobytes()
    yield pb.TrialEvent(started=pb.Started(runtime_version="1"))
    yield pb.TrialEvent(batch=pb.Batch(outputs=values[:8]))  # more than a message holds goes before its runs
    yield pb.TrialEvent(batch=pb.Batch(start_ns=[0], latency_ns=[5], outputs=values[8:32]))
    yield pb.TrialEvent(batch=pb.Batch(first_index=4, start_ns=[9], latency_ns=[6], outputs=values[32:]))
    yield pb.TrialEvent(batch=pb.Batch(round=1, start_ns=[20, 30], latency_ns=[7, 8], changed=changed))
    yield pb.TrialEvent(finished=pb.Finished(running_ns=26))


def collected(made, **changes):
    found = TrialEvents(made, TensorSpec("y", (BATCH, WIDTH), "float32"), COUNT)
    for event in events(**changes):
        found.add(event)
    return found


def test_a_measurement_has_a_latency_a_run_and_outputs_an_image():
    found = collected(trial())
    assert found.complaint() is None
    measurement = found.measurement()
    assert measurement.batch == BATCH
    assert measurement.latency_ns.tolist() == [5, 6, 7, 8]
    assert measurement.sample_index.tolist() == [0, 4, 0, 4]
    assert measurement.round_index.tolist() == [0, 0, 1, 1]
    assert measurement.changed_samples == (1, 5)
    assert measurement.outputs[0:COUNT].tolist() == np.arange(12).reshape(COUNT, WIDTH).tolist()


def test_too_many_runs_or_outputs_are_no_measurement():
    assert "4 latencies for 6 runs" in collected(trial(rounds=3)).complaint()
    # What filled the last batch up is no output of an image.
    assert "64 bytes of outputs where 48 were due" in collected(trial(), outputs=8 * WIDTH).complaint()


def test_the_agent_takes_the_images_of_a_batch_from_a_set_of_single_ones(tmp_path):
    made = request(tmp_path)
    check_request(made)
    check_inputs_file(made, COUNT * 12)
    with pytest.raises(InvalidError, match=r"6 inputs of shape \(1, 3, 2, 2\) take 72 bytes"):
        check_inputs_file(made, COUNT * 12 * BATCH)
    order = make_order(made, TrialFiles(tmp_path, tmp_path))
    assert (order.batch, order.count, order.input_shape) == (BATCH, COUNT, (BATCH, 3, 2, 2))


@pytest.mark.parametrize(("part", "words"), [("input", r"\(2, 3, 2, 2\)"), ("output", r"\(1, 8\)")])
def test_tensors_of_another_batch_are_refused(tmp_path, part, words):
    made = request(tmp_path)
    getattr(made, part).shape[:] = (2, 3, 2, 2) if part == "input" else (1, 8)
    with pytest.raises(InvalidError, match=f"the {part} of a batch of 4 cannot be {words}"):
        check_request(made)


def test_a_request_that_names_no_batch_is_for_one_image(tmp_path):
    made = request(tmp_path, batch=0)
    assert make_order(made, TrialFiles(tmp_path, tmp_path)).batch == 1


def test_a_block_begins_a_batch_further_and_knows_how_many_images_a_run_takes(tmp_path):
    timing = Timing(every_input=True, block_runs=2)
    # Three laps of two runs of four images: 24 images on, of a set of six.
    assert block_to_proto(request(tmp_path), PLACE, timing, fresh=False).first_input == 0
    odd = request(tmp_path)
    odd.inputs.count = 5
    assert block_to_proto(odd, PLACE, timing, fresh=False).first_input == 24 % 5
    found = BlockEvents(PLACE, BATCH, cold=False)
    found.add(pb.TrialEvent(batch=pb.Batch(start_ns=[0, 9], latency_ns=[8, 12])))
    found.add(pb.TrialEvent(finished=pb.Finished()))
    block = found.block()
    assert (block.batch, block.median_image_ns) == (BATCH, 2.5)
