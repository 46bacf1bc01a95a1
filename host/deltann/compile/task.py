"""The child process of a build."""

import sys
from pathlib import Path
from typing import Any

from deltann.child import serve
from deltann.core.artifact import CpuTarget, TensorSpec
from deltann.core.errors import CompileError, MissingPackageError
from deltann.core.factors import Device, Importer
from deltann.core.gpu import GpuTarget


def compile_model(request: dict[str, Any]) -> dict[str, Any]:
    """Write the library of a request, and return what is known of it only now.

    Parameters
    ----------
    request
        `build.BuildRequest` as JSON, and `library`, the path to write.
    """
    importer = Importer(request["importer"])
    if importer is not Importer.TORCH:
        sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would load it: seconds for nothing
    from deltann.compile.link import link
    from deltann.compile.pipeline import compile_module
    from deltann.compile.target import needed_features, tvm_target, with_gpu

    cpu = CpuTarget(request["cpu"]["triple"], request["cpu"]["mcpu"], tuple(request["cpu"]["mattr"]))
    host = tvm_target(cpu, request["options"]["llvm_opt"], request["options"]["fast_math"])
    gpu = _gpu_of(request)
    if gpu is not None and gpu.device is Device.CUDA:
        from deltann.compile.cuda import make_tvm_store_ptx

        make_tvm_store_ptx(gpu.arch, fast_math=request["options"]["fast_math"])
    target = host if gpu is None else with_gpu(host, gpu)
    module = _import_model(importer, request)
    output = module["main"].ret_ty
    _check_output(request["input"]["shape"][0], [int(size) for size in output.shape])
    compiled = compile_module(module, request["passes"], target)

    def link_objects(library: str, objects: list[str], **_options: Any) -> None:
        link(Path(library), [Path(path) for path in objects], cpu.triple)

    compiled.executable.export_library(request["library"], fcompile=link_objects)
    return {
        "passes": compiled.passes,
        "cpu_features": needed_features(host),
        "output_shape": [int(size) for size in output.shape],
        "output_dtype": str(output.dtype),
        "unscheduled": compiled.unscheduled,
    }


def _check_output(batch: int, shape: list[int]) -> None:
    if batch > 1 and shape[:1] != [batch]:
        raise CompileError(
            f"for {batch} images at once the model gives {tuple(shape)}", hint="Take batch: 1 for it"
        )


def _gpu_of(request: dict[str, Any]) -> GpuTarget | None:
    given = request["gpu"]
    return None if given is None else GpuTarget(Device(given["device"]), given["arch"])


def _import_model(importer: Importer, request: dict[str, Any]) -> Any:
    from deltann.compile.importers import import_onnx, import_tflite, import_torch

    given = request["input"]
    model_input = TensorSpec(given["name"], tuple(given["shape"]), given["dtype"])
    if importer is Importer.ONNX:
        return import_onnx(Path(request["model"]), model_input)
    if importer is Importer.TFLITE:
        return import_tflite(Path(request["model"]))
    try:
        return import_torch(request["model"], model_input)
    except MissingPackageError as error:
        raise ModuleNotFoundError(str(error)) from error


if __name__ == "__main__":
    serve(compile_model)
