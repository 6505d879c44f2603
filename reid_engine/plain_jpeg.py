"""Plain JPEG files, as cameras make them, checked without Pillow: the import of a gallery computes little else.

Pillow takes two to three times as long for one, a third of that for its header. What is not plain is left to it, and
what is accepted here is accepted there: the verdict is always Pillow's.
"""

from __future__ import annotations

import re

import simplejpeg

_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\0"
# Any marker but those of frames, tables, scans and comments, such as one before which way is up.
_MORE = re.compile(rb"\xff[^\x00\xc0\xc2\xc4\xd0-\xd7\xd9-\xdb\xdd\xfe]")

Size = tuple[int, int]


def plain_jpeg_size(data: bytes, pixels_max: int) -> Size | None:
    """Width and height of a JPEG that is whole and holds nothing but pixels, at most so many of them.

    None for anything else: whether that is a picture, Pillow must say. Every code is decoded, of the colours as well,
    at an eighth of the size.
    """
    if not data.startswith(_START) or _MORE.search(data, len(_START)):
        return None
    try:
        height, width, *_colours = simplejpeg.decode_jpeg_header(data)
        if width * height > pixels_max:
            return None
        simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, min_height=1, min_width=1)
    except (ValueError, LookupError):
        return None
    return width, height
