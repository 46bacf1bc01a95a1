from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deltann.core.recipes import NAMED_RECIPES
from deltann.models import pixels
from deltann.models.pixels import UnreadableError, apply_geometry, read_rgb

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
SQUASH = replace(NAMED_RECIPES["raw"], size=8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def colours(path):
    image, mode = read_rgb(path)
    assert image.mode == "RGB"
    return [tuple(int(v) for v in pixel) for row in np.asarray(image) for pixel in row], mode


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("1", [0, 1], [(0, 0, 0), WHITE]),
        ("L", [7, 200], [(7,) * 3, (200,) * 3]),
        ("LA", [(7, 255), (7, 0)], [(7,) * 3, WHITE]),
        ("LA", [(0, 51), (100, 255)], [(204,) * 3, (100,) * 3]),
        ("RGB", [RED, GREEN], [RED, GREEN]),
        ("RGBA", [(255, 0, 0, 255), (255, 0, 0, 0)], [RED, WHITE]),
        ("RGBA", [(255, 0, 0, 51), (0, 0, 0, 51)], [(255, 204, 204), (204,) * 3]),
    ],
)
def test_every_mode_of_png_becomes_rgb_on_white(tmp_path, mode, values, expected):
    image = Image.new(mode, (2, 1))
    image.putdata(values)
    assert colours(saved(image, tmp_path / "x.png")) == (expected, mode)


def test_16_bit_grey_is_scaled_not_cut(tmp_path):
    values = np.array([[0, 128, 129, 257, 32_768, 65_535]], np.uint16)
    found, mode = colours(saved(Image.fromarray(values), tmp_path / "x.png"))
    assert mode == "I;16"
    assert [pixel[0] for pixel in found] == [round(int(v) / 257) for v in values[0]] == [0, 0, 1, 1, 128, 255]


def test_16_bit_grey_with_a_transparent_value_lies_on_white(tmp_path):
    values = np.array([[500, 0]], np.uint16)
    found, _ = colours(saved(Image.fromarray(values), tmp_path / "x.png", transparency=500))
    assert found == [WHITE, (0, 0, 0)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_of_both_byte_orders(tmp_path, order):
    image = Image.new("I;16" if order == "<" else "I;16B", (1, 1), 0)
    image.frombytes(np.array([[257 * 9]], f"{order}u2").tobytes())
    assert colours(saved(image, tmp_path / "x.tif"))[0] == [(9, 9, 9)]


def test_32_bit_grey_in_the_range_of_16_bit(tmp_path):
    inside = Image.fromarray(np.array([[65_535, 0]], np.int32))
    assert colours(saved(inside, tmp_path / "in.tif")) == ([WHITE, (0, 0, 0)], "I")
    outside = Image.fromarray(np.array([[65_536, 0]], np.int32))
    with pytest.raises(UnreadableError, match=r"outside 0\.\.65535"):
        read_rgb(saved(outside, tmp_path / "out.tif"))


def test_floating_point_grey_is_not_guessed(tmp_path):
    with pytest.raises(UnreadableError, match="no known range"):
        read_rgb(saved(Image.new("F", (1, 1), 0.5), tmp_path / "x.tif"))


def palette_image():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    return image


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [RED, GREEN]),
        ({"transparency": 0}, [WHITE, GREEN]),
        ({"transparency": bytes([51, 255])}, [(255, 204, 204), GREEN]),
    ],
)
def test_palette_with_and_without_transparency(tmp_path, options, expected):
    assert colours(saved(palette_image(), tmp_path / "x.png", **options)) == (expected, "P")


def test_rgb_with_a_transparent_colour(tmp_path):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    assert colours(saved(image, tmp_path / "x.png", transparency=GREEN))[0] == [RED, WHITE]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_also_inverted_as_adobe_writes_it(tmp_path, suffix):
    # Pillow writes JPEG inverted with Adobe's marker, TIFF as it is.
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / f"x.{suffix}")
    assert (b"Adobe" in path.read_bytes()) == (suffix == "jpg")
    found, mode = colours(path)
    assert mode == "CMYK"
    assert np.abs(np.array(found) - RED).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, orientation):
    upright = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40).convert("RGB")
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, _ = read_rgb(saved(stored, tmp_path / "x.png", exif=exif))
    assert np.array_equal(np.asarray(image), np.asarray(upright))


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    found, _ = colours(saved(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:]))
    assert set(found) == {RED}


def test_an_image_of_too_many_pixels_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_PIXELS", 2_000_000)
    path = saved(Image.new("1", (2001, 1000)), tmp_path / "x.png")
    with pytest.raises(UnreadableError, match="2001 x 1000 pixels are more than 2 million"):
        read_rgb(path)


def test_pillows_own_bomb_guard_is_a_reason_too(tmp_path, monkeypatch):
    path = saved(Image.new("1", (100, 100)), tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableError, match="decompression bomb"):
        read_rgb(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"<html>not found</html>", "not an image in a format that Pillow knows")],
)
def test_a_file_that_is_no_image(tmp_path, content, reason):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UnreadableError, match=reason):
        read_rgb(tmp_path / "x.jpg")


def test_a_truncated_file(tmp_path):
    path = saved(Image.effect_noise((64, 64), 90), tmp_path / "x.jpg")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UnreadableError, match="truncated"):
        read_rgb(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        read_rgb(tmp_path / "x.jpg")


def position_image(width, height):
    """Red tells the column, green the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8))


@pytest.mark.parametrize("size", [(7, 200), (200, 7), (31, 33), (1, 1), (8, 8), (255, 254)])
@pytest.mark.parametrize("name", ["efficientnet_lite", "torchvision", "tf"])
def test_every_geometry_gives_the_models_size_on_any_aspect_ratio(name, size):
    recipe = replace(NAMED_RECIPES[name], size=13)
    result = apply_geometry(Image.new("RGB", size, (9, 8, 7)), recipe)
    assert (result.shape, result.dtype) == ((13, 13, 3), np.uint8)
    assert (result == (9, 8, 7)).all()


@pytest.mark.parametrize(
    ("size", "fraction", "left", "top", "side"),
    [
        ((20, 10), 0.5, 8, 3, 5),
        ((10, 16), 1.0, 0, 3, 10),
        ((100, 200), 0.29, 36, 86, 29),
        ((5, 3), 0.1, 2, 1, 1),
    ],
)
def test_central_crop_cuts_the_square_of_efficientnets_own_code(size, fraction, left, top, side):
    recipe = replace(NAMED_RECIPES["efficientnet_lite"], crop_fraction=fraction, size=side, filter="nearest")
    result = apply_geometry(position_image(*size), recipe)
    assert tuple(result[0, 0, :2]) == (left, top)
    assert tuple(result[-1, -1, :2]) == (left + side - 1, top + side - 1)


def test_resize_crop_resizes_the_shorter_side_then_cuts_the_middle():
    image = position_image(250, 100)
    recipe = replace(NAMED_RECIPES["torchvision"], size=42, crop_fraction=0.875)
    by_hand = image.resize((120, 48), Image.Resampling.BILINEAR).crop((39, 3, 81, 45))
    assert np.array_equal(apply_geometry(image, recipe), np.asarray(by_hand))


def test_resizing_averages_what_it_leaves_out():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    result = apply_geometry(stripes.convert("RGB"), SQUASH)
    assert np.abs(result.astype(int) - 127).max() <= 5
    assert set(np.unique(apply_geometry(stripes.convert("RGB"), replace(SQUASH, filter="nearest")))) <= {
        0,
        255,
    }


def test_an_image_too_narrow_to_resize_is_unreadable():
    recipe = replace(NAMED_RECIPES["torchvision"], size=224)
    with pytest.raises(UnreadableError, match="1 x 2000 pixels are too narrow to resize to 256"):
        apply_geometry(Image.new("RGB", (1, 2000)), recipe)
