"""Variants: one value for every factor but the board."""

from dataclasses import asdict, dataclass
from typing import Any

from deltann.core.factors import (
    FACTOR_NAMES,
    OPTION_FACTORS,
    OWN_ENGINE,
    USUAL_ROUTE,
    Binding,
    Device,
    Importer,
    Quantisation,
    Runtime,
    RuntimeOption,
)
from deltann.core.hashing import digest_record, short

DETECTED_CPU = "detected"


@dataclass(frozen=True, slots=True)
class PassEdits:
    """Passes taken out of a level and passes put in, by name."""

    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"-{name}" for name in self.drop] + [f"+{name}" for name in self.add]) or "as is"


@dataclass(frozen=True, slots=True)
class TvmOptions:
    """The factors that only TVM has."""

    level: str
    passes: PassEdits = PassEdits()
    llvm_opt: int = 3
    mcpu: str = DETECTED_CPU
    mattr: tuple[str, ...] = ()
    fast_math: bool = False
    device: Device = Device.CPU

    def label_parts(self) -> list[str]:
        """Return the level, and in short what is not at its default."""
        defaults = TvmOptions(self.level)
        parts = [self.level]
        if self.device is not defaults.device:
            parts.insert(0, self.device.value)
        if self.passes != defaults.passes:
            parts.append(str(self.passes))
        if self.llvm_opt != defaults.llvm_opt:
            parts.append(f"llvm-O{self.llvm_opt}")
        if self.mcpu != defaults.mcpu:
            parts.append(self.mcpu)
        if self.mattr:
            parts.append(",".join(self.mattr))
        if self.fast_math:
            parts.append("fast-math")
        return parts


@dataclass(frozen=True, slots=True)
class Variant:
    """One value for every factor but the board.

    Attributes
    ----------
    tvm
        The compiler's factors; None exactly when the runtime is not TVM.
    threads
        Threads of the runtime, at least 1.
    route
        The conversions from the model's framework to the importer's form, as a study spells them.
    option
        The value of the factor that only this runtime has; None where it has none.
    engine
        Name of the environment that the runtime is in; TVM's is always the agent's own.
    batch
        Images that one run takes at once, at least 1.
    """

    runtime: Runtime
    importer: Importer
    tvm: TvmOptions | None
    threads: int
    binding: Binding = Binding.NONE
    route: str = USUAL_ROUTE
    option: RuntimeOption | None = None
    engine: str = OWN_ENGINE
    quantisation: Quantisation = Quantisation.NONE
    batch: int = 1

    def factors(self) -> dict[str, str | None]:
        """Return the value of every factor as text, None where the runtime does not have it."""
        tvm = self.tvm
        values: dict[str, str | None] = {
            "runtime": self.runtime.value,
            "importer": self.importer.value,
            "route": self.route,
            "quantisation": self.quantisation.value,
            "engine": None if tvm else self.engine,
            "device": self.device.value,
            "level": tvm.level if tvm else None,
            "passes": str(tvm.passes) if tvm else None,
            "llvm_opt": str(tvm.llvm_opt) if tvm else None,
            "mcpu": tvm.mcpu if tvm else None,
            "mattr": (",".join(tvm.mattr) or "as is") if tvm else None,
            "fast_math": ("on" if tvm.fast_math else "off") if tvm else None,
            "batch": str(self.batch),
            "threads": str(self.threads),
            "binding": self.binding.value,
            **dict.fromkeys(OPTION_FACTORS.values()),
            **self.options(),
        }
        return {name: values[name] for name in FACTOR_NAMES}

    def options(self) -> dict[str, str]:
        """Return what the runtime is told on the board, by the factor's name."""
        return {} if self.option is None else {OPTION_FACTORS[self.runtime]: self.option.value}

    @property
    def device(self) -> Device:
        """What computes; runtimes other than TVM use the CPU."""
        return self.tvm.device if self.tvm else Device.CPU

    def build_factors(self) -> dict[str, Any]:
        """Return the factors that can change the bytes of the artifact, JSON-able."""
        return {
            "runtime": self.runtime.value,
            "importer": self.importer.value,
            "route": self.route,
            "quantisation": self.quantisation.value,
            "batch": self.batch,
            "tvm": asdict(self.tvm) if self.tvm else None,
        }

    @property
    def label(self) -> str:
        """A short name for people: what is not at its default."""
        parts = [self.runtime.value, self.importer.value]
        if self.route != USUAL_ROUTE:
            parts.append(f"by {self.route}")
        if self.quantisation is not Quantisation.NONE:
            parts.append(self.quantisation.value)
        if self.engine != OWN_ENGINE:
            parts.append(self.engine)
        if self.option is not None and self.option is not next(iter(type(self.option))):
            parts.append(self.option.value)
        parts += self.tvm.label_parts() if self.tvm else []
        if self.batch != 1:
            parts.append(f"b{self.batch}")
        parts.append(f"{self.threads}t")
        if self.binding is not Binding.NONE:
            parts.append(f"bound-{self.binding.value}")
        return "/".join(parts)


def variant_id(variant: Variant, model_digest: str, tool_versions: dict[str, str]) -> str:
    """Return the id of a variant of one model: a hash of all that can change its bytes or its run."""
    return short(
        digest_record(
            {
                "factors": variant.factors(),
                "build": variant.build_factors(),
                "model": model_digest,
                "tools": tool_versions,
            }
        )
    )
