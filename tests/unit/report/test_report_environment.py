"""What the report says of how images became inputs."""

import report_runs

from deltann.core.model import LabelSpace
from deltann.core.recipes import NAMED_RECIPES
from deltann.report.html import render_html


def environment_of(**changes) -> str:
    data = report_runs.run_of([report_runs.trial(None)], **changes)
    page = render_html(data, report_runs.compare(data))
    return page[page.index('<section id="environment"') :]


def test_the_recipe_is_said_in_words():
    said = environment_of(recipe=NAMED_RECIPES["torchvision"], labels=LabelSpace(1))
    assert (
        "the shorter side made 256 pixels long, the central 224 x 224 cut out (bilinear), RGB, "
        "(x - mean) / std with mean 123.675 116.28 103.53 and std 58.395 57.12 57.375, NCHW in float32"
    ) in said
    assert "class 0 is output 1, no class has a name" in said


def test_bytes_have_no_mean():
    said = environment_of(recipe=NAMED_RECIPES["raw_uint8"], labels=LabelSpace(0, ("cat", "dog")))
    assert "0.875 of the shorter side, made 224 x 224 (bilinear), RGB, NHWC in uint8" in said
    assert "2 classes have names" in said
    assert "mean" not in said[: said.index("</p>")]


def test_a_run_that_does_not_know_its_recipe_says_nothing_of_it():
    assert "by this recipe" not in environment_of(recipe=None)
