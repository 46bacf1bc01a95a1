from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from deltann import zoo
from deltann.core.errors import DataError, MissingPackageError
from deltann.core.request import DataRequest
from deltann.models.images import find_images

WHERE = "study.yaml:7"
needs_foolbox = pytest.mark.skipif(zoo.package_folder("foolbox") is None, reason="foolbox is not installed")


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1)).save(path, "PNG")
    return folder


def found(folder, **options):
    notes = []
    images = find_images(DataRequest(str(folder), where=WHERE, **options), on_note=notes.append)
    return {image.sample_id: image.class_index for image in images}, notes


def refusal(folder, **options):
    with pytest.raises(DataError) as caught:
        found(folder, **options)
    return str(caught.value)


def test_a_flat_folder_is_sorted_and_only_images_count(tmp_path):
    make(tmp_path, "b.png", "a.JPEG", "c.webp", ".hidden.png", ".git/x.png", "folder.png/deep/er.png")
    (tmp_path / "notes.txt").write_text("no image")
    classes, notes = found(tmp_path)
    assert list(classes.items()) == [("a.JPEG", None), ("b.png", None), ("c.webp", None)]
    assert notes == []


def test_images_know_their_paths_and_a_limit_takes_the_first(tmp_path):
    make(tmp_path, "b.png", "a.png", "c.png")
    images = find_images(DataRequest(str(tmp_path), limit=2))
    assert [image.path for image in images] == [tmp_path / "a.png", tmp_path / "b.png"]


def test_folders_named_by_numbers_are_the_classes(tmp_path):
    classes, notes = found(make(tmp_path, "7/a.png", "011/a.png", "loose.png"))
    assert classes == {"7/a.png": 7, "011/a.png": 11, "loose.png": None}
    assert notes == ["the classes are the numbers that the 2 folders are named by"]


def test_folders_of_other_names_count_in_sorted_order(tmp_path):
    classes, notes = found(make(tmp_path, "dog/a.png", "cat/a.png"))
    assert classes == {"cat/a.png": 0, "dog/a.png": 1}
    assert notes == ["the classes are the sorted order of the 2 folders: cat is 0"]


def test_some_wordnet_ids_tell_no_class(tmp_path):
    classes, notes = found(make(tmp_path, "n01440764/a.png", "n01443537/a.png"))
    assert set(classes.values()) == {None}
    assert notes == [
        "2 folders of WordNet ids are not all 1000 of ImageNet, so the classes are unknown; "
        "tell them in a labels.csv"
    ]


def test_all_thousand_wordnet_ids_do(tmp_path):
    classes, _ = found(make(tmp_path, *(f"n{number:08d}/a.png" for number in range(0, 10_000, 10))))
    assert classes["n00000000/a.png"] == 0
    assert classes["n00000420/a.png"] == 42
    assert classes["n00009990/a.png"] == 999


def test_folders_named_two_ways_are_not_guessed_at(tmp_path):
    words = refusal(make(tmp_path, "7/a.png", "cat/a.png"))
    assert words.startswith(f"{WHERE}: some folders in {tmp_path} ")
    assert "are named by class numbers (7), others are not (cat). Name all of them one way" in words


def test_labels_csv_in_the_folder_is_used(tmp_path):
    make(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text("file,wnid,class_index,name\nb.png,n1,5,ray\na.png,n2,3,jay\n")
    assert found(tmp_path) == ({"a.png": 3, "b.png": 5}, [])


def test_labels_say_more_than_folders_and_reach_deeper(tmp_path):
    make(tmp_path / "set", "1/a.png", "2/x/deep.png")
    labels = tmp_path / "other.csv"
    labels.write_text("path;label\n1\\a.png;9\n./2/x/deep.png;\n")
    assert found(tmp_path / "set", labels=labels) == ({"1/a.png": 9, "2/x/deep.png": None}, [])


def test_files_that_folder_and_labels_do_not_share_are_told(tmp_path):
    make(tmp_path, "a.png", "b.png", "c.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class\na.png,1\ngone.png,2\n")
    assert found(tmp_path) == (
        {"a.png": 1, "b.png": None, "c.png": None},
        [
            f"{labels} names 1 image (gone.png) not in {tmp_path}; left out",
            f"{labels} does not name 2 images (b.png for one); the class is unknown",
        ],
    )


def test_labels_of_another_folder_are_refused(tmp_path):
    make(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text("file,class\na,1\nb,2\n")
    assert "none of the 2 files that" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ("", ":1", "no column is named file, filename, file_name, path or image"),
        ("a.png,3\n", ":1", "no column is named file"),
        ("file,name\na.png,jay\n", ":1", "no column is named class_index, class_id, label, class or target"),
        ("file,class\na.png,1\nb.png\n", ":3", "1 values where the first line names 2 columns"),
        ("file,class\n\na.png,1,x\n", ":3", "3 values where the first line names 2 columns"),
        ("file,class\na.png,jay\n", ":2", "the class 'jay' is not a whole number from 0"),
        ("file,class\na.png,-1\n", ":2", "the class '-1' is not a whole number from 0"),
        ("file,class\na.png,1\na.png,2\n", ":3", "'a.png' is 2 here and 1 before"),
        ("file,class\n../a.png,1\n", ":2", "'../a.png' is no file in the folder"),
        ("file,class\n/a.png,1\n", ":2", "'/a.png' is no file in the folder"),
        ('file,class\n"a.png,1\nb.png,2\n', ":3", "the line is not CSV: unexpected end of data"),
        ("file,class\n,1\n", ":2", "'' is no file in the folder"),
    ],
)
def test_malformed_labels_are_told_with_their_line(tmp_path, content, place, words):
    make(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'labels.csv'}{place}: {words}")


def test_labels_that_cannot_be_read(tmp_path):
    make(tmp_path, "a.png")
    gone = tmp_path / "gone.csv"
    assert refusal(tmp_path, labels=gone).startswith(f"{gone}: the labels cannot be read: No such file")
    gone.write_bytes("file,class\nä.png,1\n".encode("utf-16"))
    assert "not text in UTF-8" in refusal(tmp_path, labels=gone)


def test_a_byte_order_mark_and_quotes_are_no_trouble(tmp_path):
    make(tmp_path, "a, b.png")
    (tmp_path / "labels.csv").write_text('\ufefffile,class\n"a, b.png",4\n', encoding="utf-8")
    assert found(tmp_path)[0] == {"a, b.png": 4}


def test_missing_and_empty_folders_are_told_where(tmp_path):
    assert refusal(tmp_path).startswith(f"{WHERE}: the folder {tmp_path} contains no images")
    gone = refusal(tmp_path / "foolbx")
    assert gone.startswith(f"{WHERE}: there is no folder and no packaged set of images named")
    assert "Did you mean 'foolbox'? Known: foolbox" in gone
    (tmp_path / "a.txt").touch()
    assert "a.txt is a file, not a folder of images" in refusal(tmp_path / "a.txt")


def test_a_folder_that_cannot_be_looked_into_is_told_where(tmp_path, monkeypatch):
    def locked(path):
        raise PermissionError(13, "Permission denied", str(path))

    make(tmp_path, "1/a.png")
    monkeypatch.setattr(Path, "iterdir", locked)  # permissions do not hold the superuser back
    assert refusal(tmp_path) == (
        f"{WHERE}: the folder {tmp_path} cannot be read: Permission denied. Look at its permissions."
    )


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"package": "deltann", "pattern": "none/*.jpg"}, DataError, "the package of the images foolbox"),
        ({"package": "no-such-package"}, MissingPackageError, "the images foolbox come with the package"),
    ],
)
def test_a_packaged_set_that_is_not_there_is_told_where(monkeypatch, change, kind, words):
    monkeypatch.setitem(zoo.PICTURE_SETS, "foolbox", replace(zoo.PICTURE_SETS["foolbox"], **change))
    with pytest.raises(kind, match=f"^{WHERE}: {words}"):
        find_images(DataRequest("foolbox", where=WHERE))


@needs_foolbox
def test_the_packaged_photographs_are_labelled():
    images = find_images(DataRequest("foolbox"))
    assert len(images) == 20
    assert images[0].sample_id == "imagenet_00_243.jpg"
    assert [image.class_index for image in images[:4]] == [243, 559, 438, 990]
    assert all(isinstance(image.path, Path) and image.path.is_file() for image in images)
