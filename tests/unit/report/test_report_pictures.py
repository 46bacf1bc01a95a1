import io

import report_runs
from PIL import Image

from deltann.report.pictures import shrink, thumbnail_uri


def test_a_picture_is_made_smaller_and_keeps_its_shape():
    stream = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((160, 120)).save(stream, "JPEG", quality=95)
    small = shrink(stream.getvalue(), 80)
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (80, 60))
    assert len(small) < len(stream.getvalue())


def test_a_small_picture_is_not_blown_up():
    with Image.open(io.BytesIO(shrink(report_runs.jpeg(size=40), 80))) as picture:
        assert picture.size == (40, 40)


def test_what_is_no_picture_does_not_stop_the_report():
    assert shrink(b"torn", 80) == b"torn"


def test_a_picture_is_written_into_the_page():
    assert thumbnail_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="
