import re
from importlib import metadata

import pytest

from deltann.core.errors import ResultsError
from deltann.paths import cache_folder
from deltann.run.checkup import check_machine, host_facts


def required(*extras: str) -> set[str]:
    """The packages that deltann's own metadata names for the base and these extras."""
    found = set()
    for line in metadata.requires("deltann") or ():
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        if extra is None or extra[1] in extras:
            found.add(re.match(r"[\w.-]+", line)[0].lower())
    return found - {"deltann"}


def test_every_package_of_every_extra_is_checked():
    checked = {check.name for check in check_machine()} - {"python", "disk"}
    asked = required("host", "torch", "zoo", "cuda", "tensorflow", "tflite", "litert")
    # One of two distributions of one package; and what no extra can have.
    assert checked == asked - {"tensorflow-cpu"} | {"onnx2keras", "onnx2tf"}


def test_the_record_of_a_run_has_every_version():
    facts = host_facts()
    assert required("host") <= facts.keys()
    assert facts["scipy"] == metadata.version("scipy")


@pytest.fixture(params=["", "inside"])
def impossible(request, tmp_path, monkeypatch):
    """A cache that cannot be: a file is where its folder should be."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / request.param
    monkeypatch.setenv("DELTANN_CACHE", str(folder))
    return folder


def test_a_cache_that_cannot_be_made_is_refused_with_advice(impossible):
    with pytest.raises(ResultsError) as caught:
        cache_folder("builds")
    assert caught.value.where == str(impossible / "builds")
    assert caught.value.hint == "Name another folder with DELTANN_CACHE"


def test_a_cache_that_cannot_be_made_is_a_failed_check(impossible):
    disk = next(check for check in check_machine() if check.name == "disk")
    assert disk.needed
    assert not disk.ok
    assert str(impossible) in disk.purpose
    assert "DELTANN_CACHE: the cache folder cannot be made" in disk.remedy
