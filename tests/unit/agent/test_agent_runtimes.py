import sys

import pytest

from deltann_agent import runtimes


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, the only one."""

    def install(module: str, distribution: str, version: str) -> None:
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise RuntimeError('imported')")
        (tmp_path / f"{distribution}-{version}.dist-info").mkdir()

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delenv(runtimes.LIBRARY_VARIABLE, raising=False)
    for module in ("tvm", "tvm_ffi", "onnxruntime"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    install.folder = tmp_path
    return install


def test_nothing_installed_says_what_to_install(site):
    found = runtimes.find_runtimes(runtimes.find_library(None))
    assert "pip install" in found["tvm"].reason
    assert "pip install 'deltann[onnxruntime]'" in found["onnxruntime"].reason


def test_all_installed_is_found_without_importing(site):
    site("tvm_ffi", "apache_tvm_ffi", "0.1.14")
    site("tvm", "apache_tvm", "0.27.0")
    site("onnxruntime", "onnxruntime", "1.31.1")
    (site.folder / "tvm" / "lib").mkdir()
    library = site.folder / "tvm" / "lib" / "libtvm_runtime.so"
    library.write_bytes(b"")
    assert runtimes.find_library(None) == library
    found = runtimes.find_runtimes(library)
    assert (found["tvm"].version, found["tvm"].reason) == ("0.27.0 (ffi 0.1.14)", None)
    assert (found["onnxruntime"].version, found["onnxruntime"].reason) == ("1.31.1", None)


def test_a_library_of_its_own_needs_no_tvm_package(site, tmp_path):
    site("tvm_ffi", "apache_tvm_ffi", "0.1.14")
    library = tmp_path / "libtvm_runtime.so"
    library.write_bytes(b"")
    info = runtimes.find_runtimes(library)["tvm"]
    assert info.reason is None
    assert "ffi 0.1.14" in info.version


def test_without_a_library_it_says_how_to_name_one(site):
    site("tvm_ffi", "apache_tvm_ffi", "0.1.14")
    assert "--runtime-library" in runtimes.find_runtimes(runtimes.find_library(None))["tvm"].reason


def test_the_option_wins_over_the_environment(site, tmp_path, monkeypatch):
    monkeypatch.setenv(runtimes.LIBRARY_VARIABLE, "/from/environment.so")
    assert str(runtimes.find_library(None)) == "/from/environment.so"
    assert runtimes.find_library(tmp_path / "given.so") == tmp_path / "given.so"


def test_a_library_that_is_not_there_is_named(site, tmp_path):
    site("tvm_ffi", "apache_tvm_ffi", "0.1.14")
    assert "there is no" in runtimes.find_runtimes(tmp_path / "gone.so")["tvm"].reason
