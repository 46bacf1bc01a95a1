import json

import pytest

from deltann_agent import frames

FRAMES = [
    frames.Setup("tvm", 2, "none", "/lib/x.so"),
    frames.Ready("TVM_NUM_THREADS=2"),
    frames.Order("a", "b", 3, "x", (1, 3), "float32", "y", (1, 2), "float32", 1, 5, 2, True, b"\x00\xff"),
    frames.Started(1, 2, 3, 4, True),
    frames.Block(1, 50_000_000, False, 0),
    frames.Strain(9, 8, 7, 6, 5, None, 4, 3, 2),
    frames.Batch(0, 7, (1, 2), (3, 4), (8,), b"outputs", pause=True),
    frames.GoOn(),
    frames.KernelTimes(("a", "b"), (1, 2), ((1, 2), ())),
    frames.Finished(2**62, 1, 0),
    frames.Failed("BAD_INPUT", "größer"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_what_goes_in_comes_out(frame):
    data = frames.encode(frame)
    header_bytes, payload_bytes = frames.lengths(data[: frames.PREFIX.size])
    rest = data[frames.PREFIX.size :]
    assert len(rest) == header_bytes + payload_bytes
    assert frames.decode(rest[:header_bytes], rest[header_bytes:]) == frame


@pytest.mark.parametrize(
    "header",
    [b"", b"hello", b"[]", b"[1]", b'["Nobody", {}]', b'["Ready", {}]', b'["Ready", []]', b'["Ready", 1]'],
)
def test_nonsense_is_refused(header):
    with pytest.raises(frames.FrameError, match="not a frame"):
        frames.decode(header, b"")


def test_a_field_too_many_is_refused():
    header = json.dumps(["Started", {"load_ns": 1, "first_run_ns": 1, "warmup_ns": 1, "more": 1}])
    with pytest.raises(frames.FrameError):
        frames.decode(header.encode(), b"")


def test_a_frame_without_bound_is_refused():
    with pytest.raises(frames.FrameError, match="too long"):
        frames.lengths(frames.PREFIX.pack(10, 2**32 - 1))
