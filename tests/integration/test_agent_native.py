"""The frameworks' own runtimes on the agent, and engines: the same computation by each, the same numbers."""

import functools
import sys
from pathlib import Path

import grpc
import pytest
from agent_kit import AgentClient, onnx_model
from native_models import make_native
from test_agent_trials import COUNT, PIXELS, check_measurement, events_of, failure

from deltann_agent.engines import find_engines
from deltann_proto.v1 import agent_pb2 as pb


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """Return the bytes of the model for a runtime, each made once."""
    folder = tmp_path_factory.mktemp("native")
    return functools.cache(lambda runtime: make_native(runtime, folder))


async def trial_of(client: AgentClient, model: bytes, runtime: str, **options: str) -> pb.RunTrialRequest:
    request = await client.trial(model, PIXELS.tobytes(), COUNT, runtime, rounds=2, deadline_s=300)
    request.options.update(options)
    return request


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        ("torch", {"torch_mode": "exported"}),
        ("torch", {"torch_mode": "eager"}),
        ("tensorflow", {}),
        ("tflite", {"tflite_kernels": "default"}),
        ("tflite", {"tflite_kernels": "no_delegate"}),
        ("tflite", {"tflite_kernels": "reference"}),
    ],
)
async def test_each_runtime_gives_the_same_numbers(shared, model_of, runtime, options):
    model = model_of(runtime)
    await shared.lease()
    events = await shared.run(await trial_of(shared, model, runtime, **options))
    check_measurement(events, rounds=2)
    assert "1" in events_of(events, "started")[0].threads_source


@pytest.mark.parametrize("level", ["all", "extended", "basic", "off"])
async def test_onnxruntime_optimises_as_far_as_it_is_told(shared, level):
    await shared.lease()
    events = await shared.run(await trial_of(shared, onnx_model(), "onnxruntime", ort_graph=level))
    check_measurement(events, rounds=2)


@pytest.mark.parametrize("runtime", ["torch", "tensorflow", "tflite"])
async def test_what_is_no_model_is_said_to_be_none(shared, model_of, runtime):
    model_of(runtime)
    await shared.lease()
    ended = failure(await shared.run(await trial_of(shared, b"no model at all", runtime)))
    assert ended.cause == pb.Failed.BAD_ARTIFACT
    assert "cannot load the artifact" in ended.message


async def test_an_input_that_tflite_does_not_take_is_named(shared, model_of):
    model = model_of("tflite")
    await shared.lease()
    request = await trial_of(shared, model, "tflite")
    request.input.shape[:] = [1, 3, 4, 16]
    ended = failure(await shared.run(request))
    assert ended.cause == pb.Failed.BAD_INPUT
    assert "takes float32 (1, 3, 8, 8), the trial gives float32 (1, 3, 4, 16)" in ended.message


async def test_an_option_that_nobody_knows_is_refused(shared):
    await shared.lease()
    for options in ({"ort_graph": "most"}, {"ort_graf": "all"}):
        request = await trial_of(shared, onnx_model(), "onnxruntime", **options)
        with pytest.raises(grpc.aio.AioRpcError, match="no option") as caught:
            await shared.run(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def other_python(tmp_path) -> Path:
    """An interpreter of another environment, as far as the agent can tell."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


async def test_an_engine_has_runtimes_of_its_own(make_agent, tmp_path, other_python):
    folder = tmp_path / "agent"
    folder.mkdir()
    broken = tmp_path / "nowhere"
    agent = make_agent("--engine", f"old={other_python}", "--engine", f"gone={broken}", folder=folder)
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        client = AgentClient(channel)
        described = (await client.stub.Describe(pb.DescribeRequest())).runtimes
        by_place = {(runtime.engine, runtime.name): runtime for runtime in described}
        assert by_place["old", "onnxruntime"].version == by_place["", "onnxruntime"].version
        assert not by_place["gone", "onnxruntime"].available
        assert str(broken) in by_place["gone", "onnxruntime"].reason
        assert ("old", "tvm") not in by_place
        await client.lease()
        request = await trial_of(client, onnx_model(), "onnxruntime")
        own = events_of(await client.run(request), "started")[0]
        request.engine = "old"
        events = await client.run(request)
        check_measurement(events, rounds=2)
        other = events_of(events, "started")[0]
        assert other.worker_pid != own.worker_pid
        request.engine = "new"
        with pytest.raises(grpc.aio.AioRpcError, match="no engine 'new' is known here; known are old, gone"):
            await client.run(request)


def test_an_interpreter_that_is_none_is_named_with_its_engine(tmp_path):
    text = tmp_path / "text"
    text.write_text("hello")
    found = find_engines({"odd": text})["odd"].runtimes
    assert all("engine odd: its Python" in info.reason for info in found.values())
    assert all(info.version == "" for info in found.values())
