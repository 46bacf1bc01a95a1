import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deltann.core.errors import DataError, ResultsError
from deltann.core.inputs import ImageFile
from deltann.core.recipes import NAMED_RECIPES
from deltann.models import prepared
from deltann.models.inputs import lookup_table, prepare_inputs

LITE = replace(NAMED_RECIPES["efficientnet_lite"], size=16)


@pytest.fixture
def images(tmp_path):
    random = np.random.default_rng(5)
    files = []
    for index, (width, height) in enumerate([(40, 30), (33, 90), (16, 16)]):
        path = tmp_path / "set" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        files.append(ImageFile(path.name, path, index if index else None))
    return files


@pytest.fixture
def decoded(monkeypatch):
    """Names of the images that were decoded."""
    names = []
    read = prepared.read_rgb
    monkeypatch.setattr(prepared, "read_rgb", lambda path: names.append(path.name) or read(path))
    return names


def model_sees(inputs):
    """The tensors as a board makes them, (N, 3, H, W) or (N, H, W, 3)."""
    pixels = np.fromfile(inputs.path, np.uint8).reshape(len(inputs.samples), *inputs.shape[1:])
    table = np.frombuffer(inputs.lookup, "<f4").reshape(3, 256)
    planes = np.moveaxis(pixels, inputs.channel_axis, 0)
    return np.moveaxis(
        np.stack([row[plane] for row, plane in zip(table, planes, strict=True)]), 0, inputs.channel_axis
    )


def test_central_crop_rgb_nchw_against_plain_arithmetic(images, tmp_path):
    seen = model_sees(prepare_inputs(images[:1], LITE, tmp_path / "cache"))
    # 40 x 30: a square of floor(0.875 * 30) = 26 from column (40 - 26 + 1) // 2 = 7 and row 2
    crop = Image.open(images[0].path).crop((7, 2, 33, 28)).resize((16, 16), Image.Resampling.BICUBIC)
    expected = ((np.asarray(crop).astype(np.float32) - 127) / 128).transpose(2, 0, 1)[np.newaxis]
    assert seen.dtype == np.float32
    assert np.array_equal(seen, expected)


def test_squash_bgr_nhwc_against_plain_arithmetic(images, tmp_path):
    recipe = replace(NAMED_RECIPES["caffe"], size=16)
    inputs = prepare_inputs(images, recipe, tmp_path / "cache")
    for seen, image in zip(model_sees(inputs), images, strict=True):
        rgb = np.asarray(Image.open(image.path).resize((16, 16), Image.Resampling.BILINEAR)).astype(
            np.float64
        )
        expected = np.stack([rgb[..., 2] - 103.939, rgb[..., 1] - 116.779, rgb[..., 0] - 123.68], axis=2)
        assert np.array_equal(seen, expected.astype(np.float32))


def test_a_uint8_model_gets_the_pixels_themselves(images, tmp_path):
    recipe = replace(NAMED_RECIPES["raw_uint8"], geometry="squash", crop_fraction=1.0, size=16)
    inputs = prepare_inputs(images[2:], recipe, tmp_path / "cache")
    assert (inputs.lookup, inputs.dtype, inputs.shape) == (None, "uint8", (1, 16, 16, 3))
    assert inputs.path.read_bytes() == np.asarray(Image.open(images[2].path)).tobytes()


def test_the_table_of_lite_is_the_same_in_float32_arithmetic_but_torchvisions_is_not():
    values = np.arange(256, dtype=np.float32)

    def in_float32(recipe):
        mean, std = (np.array(v, np.float32)[:, np.newaxis] for v in (recipe.mean, recipe.std))
        return (values - mean) / std

    assert np.array_equal(lookup_table(LITE), in_float32(LITE))
    torchvision = NAMED_RECIPES["torchvision"]
    table = lookup_table(torchvision)
    assert not np.array_equal(table, in_float32(torchvision))
    assert np.allclose(table, in_float32(torchvision), rtol=0, atol=1e-6)
    exact = np.array(
        [[(x - m) / s for x in range(256)] for m, s in zip(torchvision.mean, torchvision.std, strict=True)]
    )
    assert np.array_equal(table, exact.astype(np.float32))


def test_the_set_names_its_bytes_and_describes_its_samples(images, tmp_path):
    inputs = prepare_inputs(images, LITE, tmp_path / "cache")
    content = inputs.path.read_bytes()
    assert inputs.path.name == f"{inputs.digest}.u8"
    assert hashlib.sha256(content).hexdigest() == inputs.digest
    assert len(content) == 3 * 3 * 16 * 16
    assert (inputs.shape, inputs.channel_axis) == ((1, 3, 16, 16), 1)
    second = inputs.samples[1]
    assert (second.sample_id, second.class_index, second.width, second.height, second.mode) == (
        "1.png",
        1,
        33,
        90,
        "RGB",
    )
    assert second.source_digest == hashlib.sha256(images[1].path.read_bytes()).hexdigest()


def test_thumbnails_are_small_jpegs_of_the_whole_image(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGB", (800, 400), (200, 100, 50)).save(path)
    inputs = prepare_inputs([ImageFile("x", path, None)], LITE, tmp_path / "cache")
    thumbnail = Image.open(io.BytesIO(inputs.thumbnails[0]))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (160, 80))
    assert np.abs(np.asarray(thumbnail).astype(int) - (200, 100, 50)).max() < 6


def test_progress_counts_every_image(images, tmp_path):
    seen = []
    prepare_inputs(
        images, LITE, tmp_path / "cache", on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_second_call_decodes_nothing_and_gives_the_same(images, tmp_path, decoded):
    first = prepare_inputs(images, LITE, tmp_path / "cache")
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    decoded.clear()
    assert prepare_inputs(images, LITE, tmp_path / "cache") == first
    assert decoded == []


def test_new_names_and_classes_of_the_same_files_decode_nothing(images, tmp_path, decoded):
    prepare_inputs(images, LITE, tmp_path / "cache")
    decoded.clear()
    renamed = [replace(image, sample_id=f"new/{image.sample_id}", class_index=8) for image in images]
    samples = prepare_inputs(renamed, LITE, tmp_path / "cache").samples
    assert [(sample.sample_id, sample.class_index) for sample in samples] == [
        (f"new/{i}.png", 8) for i in range(3)
    ]
    assert decoded == []


def test_other_bytes_order_or_recipe_are_another_set(images, tmp_path):
    cache = tmp_path / "cache"
    digests = {
        prepare_inputs(images, LITE, cache).digest,
        prepare_inputs(images[::-1], LITE, cache).digest,
        prepare_inputs(images, replace(LITE, filter="nearest"), cache).digest,
    }
    Image.new("RGB", (9, 9)).save(images[0].path)
    digests.add(prepare_inputs(images, LITE, cache).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("damage", ["truncated", "altered", "gone", "index"])
def test_damaged_files_are_noticed_and_made_again(images, tmp_path, decoded, damage):
    first = prepare_inputs(images, LITE, tmp_path / "cache")
    content = first.path.read_bytes()
    if damage == "truncated":
        first.path.write_bytes(content[:-1])
    elif damage == "altered":
        first.path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "gone":
        first.path.unlink()
    else:
        (index,) = (tmp_path / "cache").glob("*.json")
        index.write_text(index.read_text()[:40])
    decoded.clear()
    assert prepare_inputs(images, LITE, tmp_path / "cache") == first
    assert len(decoded) == 3
    assert first.path.read_bytes() == content


def test_unreadable_images_are_named_and_the_others_go_on(images, tmp_path):
    images[0].path.write_bytes(b"")
    images[1].path.unlink()
    for _ in range(2):
        inputs = prepare_inputs(images, LITE, tmp_path / "cache")
        assert [sample.sample_id for sample in inputs.samples] == ["2.png"]
        assert inputs.path.stat().st_size == 3 * 16 * 16
        assert {image.sample_id: image.reason for image in inputs.unreadable} == {
            "0.png": "the file is empty",
            "1.png": "No such file or directory",
        }


def test_a_study_of_only_unreadable_images_is_refused(images, tmp_path):
    for image in images * 2:
        image.path.write_bytes(b"text")
    with pytest.raises(
        DataError, match=r"none of the 6 images can be read: 0\.png \(not an image .*\) and 3 more"
    ):
        prepare_inputs(images * 2, LITE, tmp_path / "cache")
    with pytest.raises(DataError, match="there are no images"):
        prepare_inputs([], LITE, tmp_path / "cache")


def test_a_full_disk_is_told_and_leaves_nothing(images, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(ResultsError, match=r"cannot be written: No space left on device\. Free some space"):
        prepare_inputs(images, LITE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
