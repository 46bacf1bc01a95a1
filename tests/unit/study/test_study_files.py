"""The study files people start from, and the page that describes them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltann.core.factors import Runtime
from deltann.core.passes import LEVELS, PASSES
from deltann.study.check import shapes_in
from deltann.study.shape import Shape, StudyShape
from deltann.study.study import load_studies, load_study

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "studies").glob("*.yaml"))
PAGE = (ROOT / "docs" / "study.md").read_text()
# Of the boards in ansible/inventory/hosts.example.yml.
GROUPS = ("rpi", "jetson", "x86_gpu")


def test_there_are_files() -> None:
    assert {"demo.yaml", "levels.yaml", "llvm-knobs.yaml", "single-passes.yaml"} <= {
        path.name for path in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_a_study(path: Path) -> None:
    studies = load_studies(path, known_boards=lambda: GROUPS)
    for study in studies:
        assert study.name == path.stem if len(studies) == 1 else study.name.startswith(f"{path.stem}-")
        assert study.data.images == "foolbox"
    assert path.read_text().startswith("# ")


def test_the_papers_grid_has_its_networks_frameworks_and_settings() -> None:
    studies = load_studies(ROOT / "studies" / "deltann-paper.yaml")
    networks = {study.model.name_or_path.partition("/")[2].replace("_v2", "") for study in studies}
    assert networks == {"mobilenet", "resnet101", "inception_v3"}
    for study in studies:
        assert study.every_pair
        assert set(study.factors.runtime) == set(Runtime)
        assert len(study.factors.level) == 3


def test_levels_are_all_asked_for() -> None:
    assert load_study(ROOT / "studies" / "levels.yaml").factors.level == tuple(LEVELS)


def test_every_pass_that_can_be_dropped_is_dropped() -> None:
    study = load_study(ROOT / "studies" / "single-passes.yaml")
    assert study.factors.level == ("O3",)
    dropped = {name for edits in study.factors.passes for name in edits.drop}
    assert dropped == {name for name in LEVELS["O3"].passes if not PASSES[name].needed}


def keys(shape: type[Shape] = StudyShape) -> Iterator[str]:
    for name, field in shape.model_fields.items():
        yield field.alias or name
        for inner in shapes_in(field.annotation):
            yield from keys(inner)


@pytest.mark.parametrize("key", sorted(set(keys())))
def test_page_names_every_key(key: str) -> None:
    assert f"`{key}`" in PAGE


def test_examples_on_the_page_are_studies(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) >= 3
    for number, example in enumerate(examples):
        path = tmp_path / f"example-{number}.yaml"
        path.write_text(example)
        load_study(path)


def test_links_on_the_page_lead_somewhere() -> None:
    links = re.findall(r"\]\((\.\./[^)]+)\)", PAGE)
    assert links
    assert all((ROOT / "docs" / link).exists() for link in links)
