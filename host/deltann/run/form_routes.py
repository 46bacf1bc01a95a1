"""Which converters lead from a study's model to each of its forms."""

from dataclasses import replace

from deltann.convert.hop import unusable_converters
from deltann.core.converters import QUANTISER, Converter, find_route, quantising, routes
from deltann.core.factors import USUAL_ROUTE, Importer, Quantisation
from deltann.core.framework import Framework
from deltann.run.study_form import FormKey


class FormRoutes:
    """The routes from the framework of a model; each is looked for once."""

    def __init__(self, framework: Framework) -> None:
        self._framework = framework
        self._found: dict[FormKey, tuple[Converter, ...]] = {}

    def of(self, key: FormKey) -> tuple[Converter, ...]:
        """Return the converters of a form; none where the model has that form, or becomes plain ONNX."""
        if key not in self._found:
            self._found[key] = self._find(key)
        return self._found[key]

    def is_own(self, importer: Importer, route: str) -> bool:
        """Return whether the model is read as it was given."""
        return route == USUAL_ROUTE and importer.value == self._framework

    def is_plain_onnx(self, key: FormKey) -> bool:
        """Return whether a form is made by torch's exporter, or cleaned of an ONNX file, in one child."""
        direct = self._framework in (Framework.TORCH, Framework.ONNX)
        plain = key.importer is Importer.ONNX and key.quantisation is Quantisation.NONE
        return direct and plain and key.route == USUAL_ROUTE

    def base(self, key: FormKey) -> FormKey | None:
        """Return the form that one is made of, or held against; None where that is the source alone."""
        if key.by_code or self.is_plain_onnx(key):
            return None
        if key.batch > 1:
            # A torch program is held against single images where it is exported.
            is_checked = key.importer is Importer.TORCH and self.is_own(key.importer, key.route)
            return None if is_checked else replace(key, batch=1)
        return key.unquantised() if key.is_quantised_onnx else None

    def _find(self, key: FormKey) -> tuple[Converter, ...]:
        if key.is_quantised_onnx:
            return (quantising(QUANTISER, key.quantisation),)
        if key.quantisation is not Quantisation.NONE:
            *before, last = self.of(key.unquantised())
            return (*before, quantising(last, key.quantisation))
        if self.is_own(key.importer, key.route) or self.is_plain_onnx(key):
            return ()
        if key.route != USUAL_ROUTE:
            return find_route(key.route.split(",")).converters
        target = Framework(key.importer.value)
        found = routes(self._framework, target, 1, without=unusable_converters())
        return (found or routes(self._framework, target, 1))[0].converters
