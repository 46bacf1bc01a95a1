"""Routes as a matrix of frameworks, and what they come to as findings of a run."""

from pathlib import Path

import pytest

from deltann.compare.conversions import conversion_findings
from deltann.core.artifact import TensorSpec
from deltann.core.comparison import FindingKind, Severity
from deltann.core.conversion import Agreement, HopFinding, HopRecord, Kind, RouteRecord
from deltann.core.conversion_matrix import conversion_matrix
from deltann.core.converters import CONVERTERS, framework_pairs
from deltann.core.form import Form
from deltann.core.framework import Framework
from deltann.results.conversions import conversions_json, read_conversions

SPEC = TensorSpec("x", (1, 3, 8, 8), "float32")


def hop(source, target, *, flips=0, findings=(), made=True, seconds=1.0):
    form = Form(Framework(target), Path(f"model.{target}"), "0" * 64, 9, SPEC, SPEC, "NCHW") if made else None
    agreement = Agreement(8, 0.5, 2.0, 0.01, flips, 0) if made else None
    return HopRecord(
        f"{source}-{target}",
        source,
        target,
        {"pkg": "1"},
        seconds,
        False,
        form,
        agreement,
        None,
        findings,
        "log",
    )


def route(*hops, planned=None, lead=0):
    first, last = hops[lead if lead < len(hops) else 0], hops[-1]
    text = " ".join(each.converter for each in hops)
    return RouteRecord(text, hops, planned or len(hops), first.source, last.target, lead)


CRASH = HopFinding(Kind.CRASH, Severity.ERROR, "it fell over", {"cause": "crash"})
NOTE = HopFinding(Kind.LAYOUT, Severity.NOTE, "the input is NHWC, it was NCHW", {})
ROUTES = (
    route(hop("keras", "tf", findings=(NOTE,))),
    route(hop("keras", "tf", seconds=5.0), hop("tf", "onnx", flips=3), lead=1),
    route(hop("keras", "onnx"), hop("onnx", "torch", made=False, findings=(CRASH,))),
    route(hop("keras", "onnx"), hop("onnx", "torch", made=False, findings=(CRASH,)), hop("torch", "tflite")),
)


def test_a_matrix_has_the_first_route_of_each_pair():
    matrix = conversion_matrix(ROUTES)
    assert matrix.frameworks == (
        Framework.TORCH,
        Framework.KERAS,
        Framework.TF,
        Framework.TFLITE,
        Framework.ONNX,
    )
    assert matrix.cells["keras", "tf"] is ROUTES[0]
    assert matrix.cells["tf", "onnx"].seconds == 1.0, "what brings the model to tf is not counted"
    assert matrix.cells["keras", "torch"].final is None


def test_few_pairs_are_no_matrix():
    assert conversion_matrix(ROUTES[:2]) is None
    assert conversion_matrix(()) is None


def test_findings_name_the_first_hop_where_labels_change_and_each_crash_once():
    found = conversion_findings(ROUTES)
    assert {finding.kind for finding in found} == {FindingKind.CONVERSION}
    assert [finding.text for finding in found] == [
        "On the way keras-tf tf-onnx labels change first at tf to onnx by tf-onnx: 3 of 8 images.",
        "Converting onnx to torch by onnx-torch: it fell over.",
    ]


def test_records_are_the_same_when_they_are_read_back(tmp_path):
    (tmp_path / "conversions.json").write_bytes(conversions_json(ROUTES))
    assert read_conversions(tmp_path / "conversions.json") == ROUTES
    assert read_conversions(tmp_path / "none.json") == ()


@pytest.mark.parametrize("own", Framework)
def test_every_pair_goes_from_the_models_framework_through_its_source(own):
    pairs = framework_pairs(own)
    assert len({(pair.source, pair.target) for pair in pairs}) == 20
    for pair in pairs:
        steps = pair.route.converters
        assert steps[0].source is own
        assert steps[pair.lead].source is pair.source
        assert steps[-1].target is pair.target
        assert pair.lead == 0 or pair.source is not own


def test_pairs_go_without_what_is_missing():
    unusable = [
        converter for converter in CONVERTERS if Framework.KERAS in (converter.source, converter.target)
    ]
    pairs = framework_pairs(Framework.TORCH, without=unusable)
    assert {pair.target for pair in pairs} == set(Framework) - {Framework.KERAS}
