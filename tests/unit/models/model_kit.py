"""What tests of model files share: small recipes, and the sentence with which a model is refused."""

from dataclasses import replace

import pytest

from deltann.core.errors import ModelError
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.models.source import open_model

WHERE = "study.yaml:3"
NHWC = replace(NAMED_RECIPES["tf"], size=8)
NCHW = replace(NAMED_RECIPES["torchvision"], size=8)


def refusal(name_or_path, **options) -> str:
    """Return the one sentence (and advice) with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        open_model(ModelRequest(str(name_or_path), where=WHERE, **options))
    assert caught.value.where == WHERE
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)
