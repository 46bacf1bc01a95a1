"""What the worker makes of an error: lack of memory is told apart, whoever ran out of it."""

import pytest

from deltann_agent.worker.__main__ import failed

SHORTAGES = [
    MemoryError(),
    RuntimeError("std::bad_alloc"),
    RuntimeError(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"
    ),
    RuntimeError("CUDAError: cuMemAlloc failed with error: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("InternalError: Check failed: e == cudaSuccess\nCUDA: out of memory"),
    RuntimeError("OpenCL Error, code=-4: CL_MEM_OBJECT_ALLOCATION_FAILURE"),
    OSError(12, "Cannot allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("OOM when allocating tensor with shape[1,512,512] and type float on CPU:0"),
]
OTHERS = [
    None,
    RuntimeError("shape mismatch"),
    ValueError("the model has no output 'memory'"),
    ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=str)
@pytest.mark.parametrize("cause", ["RUNTIME_ERROR", "BAD_ARTIFACT", "RUNTIME_MISSING"])
def test_an_error_for_lack_of_memory_is_that_whatever_it_stopped(error, cause):
    told = failed(cause, "what was said", error)
    assert told.cause == "OUT_OF_MEMORY"
    assert told.message == "memory had run out, by the worker's own words: what was said"


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_any_other_error_keeps_its_cause_and_words(error):
    told = failed("BAD_ARTIFACT", "what was said", error)
    assert (told.cause, told.message) == ("BAD_ARTIFACT", "what was said")
