import pytest

from deltann.core.errors import ResultsError
from deltann.run.analysis import read_study


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the study cannot be read"),
        (b"", "empty"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"schema: 1\nname: x\n", "the key 'model' is missing"),
        (b"schema: [", "YAML"),
    ],
)
def test_a_damaged_study_of_a_run_is_a_matter_of_the_run(tmp_path, content, words):
    file = tmp_path / "resolved.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        read_study(tmp_path)
    assert caught.value.what.startswith("this run folder is damaged: ")
    assert words in caught.value.what
    assert str(file) in str(caught.value.where)
    assert "resolved.yaml" in str(caught.value.hint)
