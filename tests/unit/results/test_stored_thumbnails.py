import pytest

from deltann.core.errors import ResultsError

COUNT = 1100  # more than two groups of rows


@pytest.fixture
def folder(make_folder):
    return make_folder(COUNT)


@pytest.fixture
def pictures(folder):
    return folder.load().thumbnails


@pytest.mark.parametrize(
    "order", [range(COUNT), range(COUNT - 1, -1, -1), (511, 512, 511, 1099, 0, 1023, 1024)]
)
def test_pictures_are_those_of_their_samples_in_any_order(pictures, order):
    assert [pictures[index] for index in order] == [bytes([index % 256]) * 9 for index in order]


def test_pictures_in_ascending_order_are_read_a_group_at_a_time(pictures, monkeypatch):
    read = []
    original = type(pictures)._read_group

    def counted(self, sample_index):
        read.append(sample_index)
        original(self, sample_index)

    monkeypatch.setattr(type(pictures), "_read_group", counted)
    for index in range(0, COUNT, 7):
        assert pictures[index] == bytes([index % 256]) * 9
    assert len(read) == 3


def test_a_file_that_is_gone_is_said(folder, pictures):
    (file,) = (folder.path / "tables" / "samples").iterdir()
    file.unlink()
    with pytest.raises(ResultsError, match="missing or damaged"):
        pictures[0]
