"""Small pictures for the page."""

import io
from base64 import b64encode

_QUALITY = 70


def thumbnail_uri(jpeg: bytes) -> str:
    """Return a picture as a `data:` address."""
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"


def shrink(jpeg: bytes, side_px: int) -> bytes:
    """Return a picture again, as a JPEG whose longer side is at most `side_px`; what is none as it is."""
    from PIL import Image

    stream = io.BytesIO()
    try:
        with Image.open(io.BytesIO(jpeg)) as picture:
            picture.thumbnail((side_px, side_px))
            picture.save(stream, "JPEG", quality=_QUALITY)
    except OSError:
        return jpeg
    return stream.getvalue()
