from deltann.core.record import Reading
from deltann.fleet.wire import reading_from_proto
from deltann_proto.v1 import agent_pb2 as pb


def test_everything_that_a_board_tells_arrives():
    message = pb.Reading(
        phase=pb.Reading.DURING,
        unix_ns=7,
        cpu_freq_mhz=1500.5,
        governor="schedutil",
        temp_c=61.5,
        load_1min=0.5,
        memory_available_bytes=2**33,
        worker_rss_bytes=2**26,
        throttled=True,
        throttle_reasons=["under-voltage", "GPU: power cap"],
        rails=[pb.Rail(name="VDD_IN", power_mw=9250.5), pb.Rail(name="VDD_SOC", power_mw=1592.25)],
        power_mode="MAXN",
        gpu_freq_mhz=624.75,
        gpu_temp_c=48.5,
        gpu_load_percent=73.5,
        gpu_memory_used_bytes=2**31,
    )
    assert reading_from_proto(message) == Reading(
        phase="during",
        unix_ns=7,
        cpu_freq_mhz=1500.5,
        governor="schedutil",
        temp_c=61.5,
        load_1min=0.5,
        memory_available_bytes=2**33,
        worker_rss_bytes=2**26,
        throttled=True,
        throttle_reasons=("under-voltage", "GPU: power cap"),
        rails=(("VDD_IN", 9250.5), ("VDD_SOC", 1592.25)),
        power_mode="MAXN",
        gpu_freq_mhz=624.75,
        gpu_temp_c=48.5,
        gpu_load_percent=73.5,
        gpu_memory_used_bytes=2**31,
    )


def test_what_a_board_does_not_tell_is_none_with_its_reason():
    message = pb.Reading(
        phase=pb.Reading.AFTER, unix_ns=9, unavailable={"rails": "no sensor", "governor": "none"}
    )
    assert reading_from_proto(message) == Reading(
        "after", 9, unavailable=(("governor", "none"), ("rails", "no sensor"))
    )


def test_zero_is_a_value_and_no_reason_is_not_the_same_as_unknown():
    message = pb.Reading(throttled=False, gpu_load_percent=0, rails=[pb.Rail(name="GPU")])
    reading = reading_from_proto(message)
    assert (reading.throttled, reading.throttle_reasons) == (False, ())
    assert reading.gpu_load_percent == 0
    assert reading.rails == (("GPU", 0.0),)
