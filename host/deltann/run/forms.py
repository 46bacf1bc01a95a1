"""The forms of a study's model: for each importer and route, what the runtimes of its trials read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deltann.convert.form import find_form, form_key, onnx_form
from deltann.convert.hop import HopResult, Limits, run_hop, unusable_converters, why_not
from deltann.convert.packages import versions_of
from deltann.convert.runners import run_form
from deltann.convert.warm import warm_children
from deltann.core.artifact import BuildFailure
from deltann.core.batch import batch_shape, why_not_alone
from deltann.core.conversion import RouteRecord
from deltann.core.converters import Converter, FrameworkPair, Route, framework_pairs
from deltann.core.factors import CALIBRATED, Importer, Quantisation, Runtime
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.core.hashing import digest_record
from deltann.core.model import Layout, ModelKind, ModelSource
from deltann.core.variant import Variant
from deltann.core.words import enumerate_words
from deltann.crew import abreast
from deltann.paths import cache_folder
from deltann.run.conversion import Array, Checker, Say, in_layout, run_pair
from deltann.run.form_routes import FormRoutes
from deltann.run.source_form import absent_packages, try_form
from deltann.run.study_form import FormKey, Made, StudyForm, artifact_key

_KINDS = {Framework.TORCH: ModelKind.EXPORTED_PROGRAM, Framework.ONNX: ModelKind.ONNX}


class Forms:
    """Makes the forms of one model, each once.

    Attributes
    ----------
    records
        What converting along each route showed, in the order it was done.
    calibration
        Images on which quantisation measures ranges, as the model takes them: a file of numpy's. To be given
        before such a form is made.
    """

    def __init__(self, model: ModelSource, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._made: dict[FormKey, Made] = {}
        self._routes = FormRoutes(model.framework)
        self.records: list[RouteRecord] = []
        self.calibration: Path | None = None

    def key(self, variant: Variant) -> FormKey:
        """Return which form a variant reads."""
        by_code = (
            variant.runtime is Runtime.TVM
            and variant.importer is Importer.TORCH
            and self._routes.is_own(variant.importer, variant.route)
        )
        return FormKey(variant.importer, variant.route, by_code, variant.quantisation, variant.batch)

    def get(self, variant: Variant) -> Made | None:
        """Return the form of a variant, or why there is none; None when nobody has tried yet."""
        key = self.key(variant)
        return StudyForm.of_code(self._model, key.batch) if key.by_code else self._made.get(key)

    def digest(self, variant: Variant) -> str:
        """Return the hash of the form's bytes, or of all they depend on where it is not made."""
        made, key = self.get(variant), self.key(variant)
        if isinstance(made, StudyForm):
            return made.digest
        if self._routes.is_plain_onnx(key):
            return form_key(self._model, key.batch)
        route = self._routes.of(key)
        versions = (versions_of(converter.packages, converter.python) for converter in route)
        return digest_record(
            {
                "source": self._model.identity(),
                "batch": key.batch,
                "route": [(converter.name, converter.target) for converter in route],
                "versions": {name: version for found in versions for name, version in found.items()},
            }
        )

    def layout(self, variant: Variant) -> Layout:
        """Return the layout of a form's input; the recipe's own where there is none."""
        made = self.get(variant)
        return made.layout if isinstance(made, StudyForm) else self._model.recipe.layout

    def why_not(self, variant: Variant) -> str | None:
        """Return which package is missing for the form of a variant, None when none is."""
        key = self.key(variant)
        if variant.importer is Importer.TFLITE and variant.runtime is Runtime.TVM and _absent("tflite"):
            return "the package tflite is not installed; pip install 'deltann[tflite]' has it"
        if key.by_code or self._routes.is_plain_onnx(key):
            return None
        absent, extra = absent_packages(self._model)
        if absent:
            return f"reading the model needs {enumerate_words(absent)}; pip install 'deltann[{extra}]' has it"
        return next((reason for converter in self._routes.of(key) if (reason := why_not(converter))), None)

    def made_s(self) -> dict[str, float]:
        """Return how long making each form took, by the key of its artifact."""
        return {
            artifact_key(form.digest, key.batch): form.seconds
            for key, form in self._made.items()
            if isinstance(form, StudyForm)
        }

    def find(self, variants: Iterable[Variant]) -> None:
        """Look for what earlier runs have left. Nothing is made."""
        for key in self._lacking(variants):
            found = None if key.quantisation in CALIBRATED else self._find(key)
            if found:
                self._made[key] = found

    def make_unchecked(self, variants: Iterable[Variant]) -> None:
        """Make those forms that need no images: a torch or ONNX model as ONNX, compared on random ones.

        Raises
        ------
        ResultsError
            If the cache cannot be written.
        """
        for key in self._lacking(variants):
            if self._routes.is_plain_onnx(key):
                self._made[key] = self._plain_onnx(batch=key.batch)

    def make(self, variants: Iterable[Variant], images: Array, say: Say, *, every_pair: bool = False) -> None:
        """Make the forms of the variants, every hop checked against the source.

        Parameters
        ----------
        images
            As the model takes them, in the recipe's layout.
        every_pair
            Whether to convert from every framework to every other besides, for the record.

        Raises
        ------
        ModelError
            If the model itself does not load, or does not run.
        ResultsError
            If the cache cannot be written.
        """
        self.make_unchecked(variants)
        lacking = self._with_bases(variants)
        if not (lacking or every_pair):
            return
        with warm_children():
            source = self._source()
            if isinstance(source, BuildFailure):
                self._made.update(dict.fromkeys(lacking, source))
                return
            routed = [key for key in lacking if key.batch == 1 and self._routes.of(key)]
            checker = Checker(source[0], images, self._limits) if routed or every_pair else None
            while lacking:
                due = [key for key in lacking if self._routes.base(key) not in lacking]
                lacking = [key for key in lacking if key not in due]
                self._make_these([key for key in due if key.batch == 1], source, checker, say)
                for key in due:
                    if key.batch > 1:
                        self._made[key] = self._make_batch(key, images, say)
            if every_pair and checker is not None:
                self._make_every_pair(source[0], checker, say)

    def _with_bases(self, variants: Iterable[Variant]) -> list[FormKey]:
        """Return the forms that are lacking, and those that they are made of, these first."""
        found: dict[FormKey, None] = {}
        for lacking in self._lacking(variants):
            chain, key = [lacking], self._routes.base(lacking)
            while key is not None:
                chain.append(key)
                key = self._routes.base(key)
            found |= dict.fromkeys(reversed(chain))
        return [key for key in found if key not in self._made]

    def _make_these(
        self, keys: Sequence[FormKey], source: tuple[Form, float], checker: Checker | None, say: Say
    ) -> None:
        made = abreast(self._limits.crew, lambda key: self._make(key, source, checker, say), keys)
        for key, (form, record) in zip(keys, made, strict=True):
            self._made[key] = form
            self.records += [record] if record else []

    def _make(
        self, key: FormKey, source: tuple[Form, float], checker: Checker | None, say: Say
    ) -> tuple[Made, RouteRecord | None]:
        """Return a form, and what converting along its route showed where it has one."""
        if self._routes.is_plain_onnx(key):
            return self._plain_onnx(), None
        route, (form, seconds) = self._routes.of(key), source
        if not route or checker is None:
            return self._fit(form, route, seconds, {}), None
        if key.is_quantised_onnx:
            base = self._made[key.unquantised()]
            if isinstance(base, BuildFailure):
                return base, None
            form = base.as_form(Importer.ONNX)
        say(f"Converting: {Route(route)}")
        way = FrameworkPair(route[0].source, route[-1].target, Route(route), 0)
        record = run_pair(way, form, checker, self._limits, say, self.calibration)
        return self._of_record(record, route), record

    def _make_batch(self, key: FormKey, images: Array, say: Say) -> Made:
        """Return a form for several images at once, each of which gets what the form for one gives it."""
        base_key = self._routes.base(key)
        if base_key is None:
            own = self._source(key.batch)
            return own if isinstance(own, BuildFailure) else self._fit(own[0], (), own[1], {}, key.batch)
        base = self._made[base_key]
        if isinstance(base, BuildFailure):
            return base
        say(f"Making the form {key.importer.value} for {key.batch} images at once")
        if key.importer is not Importer.ONNX:
            return self._convert_batch(key, base, images)
        source = self._as_source(base.as_form(key.importer))
        simplify = key.quantisation is Quantisation.NONE
        return self._plain_onnx(source, batch=key.batch, simplify=simplify)

    def _convert_batch(self, key: FormKey, base: StudyForm, images: Array) -> Made:
        """Return what a route makes of the source for so many images, held against the form for one."""
        source = self._source(key.batch)
        if isinstance(source, BuildFailure):
            return source
        form, seconds = source
        versions: dict[str, str] = {}
        for converter in self._routes.of(key):
            kept = cache_folder("forms")
            hop = run_hop(converter, form, kept, self._limits, calibration=self.calibration)
            if hop.form is None:
                return _failure(hop)
            form, seconds, versions = hop.form, seconds + hop.seconds, {**versions, **hop.versions}
        reason = self._why_not_alone(form, base.as_form(key.importer), images)
        if reason is not None:
            words = f"the form {key.importer.value} does not take {key.batch} images at once: {reason}"
            return BuildFailure("", "refused", f"{words}. Take batch: 1 for it.", "", seconds)
        return self._fit(form, (), seconds, versions, key.batch)

    def _why_not_alone(self, form: Form, alone: Form, images: Array) -> str | None:
        """Return in words how what a form gives images at once is unlike what another gives each of them."""
        given = in_layout(images, self._model.recipe.layout, form.layout)[np.newaxis]
        ran = [run_form(one, given, cache_folder("form-runs"), self._limits) for one in (form, alone)]
        if ran[0].outputs is None or ran[1].outputs is None:
            return next(one.message for one in ran if one.outputs is None).rstrip(".")
        return why_not_alone(ran[0].outputs[0], ran[1].outputs[0])

    def _make_every_pair(self, source: Form, checker: Checker, say: Say) -> None:
        def convert(way: FrameworkPair) -> RouteRecord:
            say(f"Converting: {way.route}")
            return run_pair(way, source, checker, self._limits, say)

        ways = framework_pairs(self._model.framework, without=unusable_converters())
        self.records += abreast(self._limits.crew, convert, ways)

    def _lacking(self, variants: Iterable[Variant]) -> Iterator[FormKey]:
        keys = dict.fromkeys(self.key(variant) for variant in variants)
        return (key for key in keys if not key.by_code and key not in self._made)

    def _plain_onnx(
        self, converted: ModelSource | None = None, *, batch: int = 1, simplify: bool = True
    ) -> Made:
        """Return the model, or what it was converted to, as plain ONNX for so many images."""
        model, limits = converted or self._model, self._limits
        made = onnx_form(
            model,
            cache_folder("onnx"),
            batch=batch,
            simplify=simplify,
            deadline_s=limits.deadline_s,
            memory_limit_bytes=limits.memory_limit_bytes,
            cancelled=limits.cancelled,
            crew=limits.crew,
        )
        return made if isinstance(made, BuildFailure) else StudyForm.of_onnx(made, model.recipe.layout)

    def _source(self, batch: int = 1) -> tuple[Form, float] | BuildFailure:
        """Return the model as every route begins with it, and the seconds that took."""
        if self._model.framework is Framework.ONNX:
            made = self._plain_onnx(batch=batch)
            return made if isinstance(made, BuildFailure) else (made.as_form(Importer.ONNX), made.seconds)
        result = try_form(self._model, cache_folder("forms"), self._limits, batch=batch)
        return _failure(result) if result.form is None else (result.form, result.seconds)

    def _of_record(self, record: RouteRecord, route: tuple[Converter, ...]) -> Made:
        versions = {name: version for hop in record.hops for name, version in hop.versions.items()}
        seconds = sum(hop.seconds for hop in record.hops)
        if record.final is None:
            last = record.hops[-1]
            words = next((finding.text for finding in last.findings), f"{last.converter} gave no model")
            cause = next((finding.numbers.get("cause") for finding in last.findings), None)
            log = Path(last.log).read_text() if last.log and Path(last.log).exists() else ""
            return BuildFailure("", str(cause or "refused"), words, log, seconds)
        return self._fit(record.final, route, seconds, versions)

    def _fit(
        self,
        form: Form,
        route: tuple[Converter, ...],
        seconds: float,
        versions: dict[str, str],
        batch: int = 1,
    ) -> Made:
        """Return a form as trials read it, or why the recipe's images do not fit it."""
        recipe = replace(self._model.recipe, layout=form.layout)
        shape = batch_shape(recipe.shape, batch)
        if (form.input.shape, form.input.dtype) != (shape, recipe.dtype):
            words = (
                f"the converted model takes {form.input.shape} {form.input.dtype}, "
                f"the recipe gives {shape} {recipe.dtype}"
            )
            return BuildFailure("", "refused", words, "", seconds)
        if _becomes_plain(form, route):
            simple = self._plain_onnx(self._as_source(form))
            return simple if isinstance(simple, BuildFailure) else replace(simple, seconds=seconds)
        model = self._as_source(form).loader if form.framework is Framework.TORCH else str(form.path)
        return StudyForm(
            *(model, form.path, form.digest, form.size_bytes, form.input, form.output, form.layout),
            *(versions, seconds),
        )

    def _as_source(self, form: Form) -> ModelSource:
        return ModelSource(
            name=self._model.name,
            framework=form.framework,
            zoo=None,
            path=form.path,
            digest=form.digest,
            recipe=replace(self._model.recipe, layout=form.layout),
            labels=self._model.labels,
            kind=_KINDS.get(form.framework),
        )

    def _find(self, key: FormKey) -> StudyForm | None:
        if self._routes.is_plain_onnx(key):
            found = find_form(self._model, cache_folder("onnx"), key.batch)
            return StudyForm.of_onnx(found, self._model.recipe.layout) if found else None
        if key.is_quantised_onnx or key.batch > 1:
            return None  # it is made of another form, or held against one
        route = self._routes.of(key)
        form, folder, seconds = self._kept_source(), cache_folder("forms"), 0.0
        versions: dict[str, str] = {}
        for converter in route:
            if form is None:
                return None
            hop = run_hop(converter, form, folder, self._limits, only_kept=True)
            form, seconds, versions = hop.form, seconds + hop.seconds, {**versions, **hop.versions}
        if form is None:
            return None
        if _becomes_plain(form, route):
            simple = find_form(self._as_source(form), cache_folder("onnx"))
            return StudyForm.of_onnx(simple, form.layout) if simple else None
        made = self._fit(form, route, seconds, versions)
        return made if isinstance(made, StudyForm) else None

    def _kept_source(self) -> Form | None:
        if self._model.framework is Framework.ONNX:
            found = find_form(self._model, cache_folder("onnx"))
            plain = StudyForm.of_onnx(found, self._model.recipe.layout) if found else None
            return plain.as_form(Importer.ONNX) if plain else None
        return try_form(self._model, cache_folder("forms"), self._limits, only_kept=True).form


def _becomes_plain(form: Form, route: tuple[Converter, ...]) -> bool:
    """Return whether what a route gave is simplified, as all float ONNX is."""
    # Simplifying would fold quantised weights into float ones: another model for ONNX Runtime.
    is_quantised = form.input.dtype != "float32" or (bool(route) and route[-1].source is Framework.ONNX)
    return bool(route) and form.framework is Framework.ONNX and not is_quantised


def _absent(package: str) -> bool:
    return versions_of((package,))[package] is None


def _failure(result: HopResult) -> BuildFailure:
    log = result.log.read_text() if result.log.exists() else ""
    return BuildFailure("", result.cause or "refused", result.message, log, result.seconds)
