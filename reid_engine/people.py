"""Where people stand in a photo: OpenCV's people detector (HOG, Dalal and Triggs 2005), for a proposed box.

It proposes and never decides: the operator sees the box and may move it. OpenCV is imported at the first photo that is
asked about, so that nothing else waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from reid_engine.photo import Box

# The detector's window is 64x128 and its person fills 3/4 of the height: what is smaller than that is not found,
# what is larger is found at a coarser scale. The time grows with the area: a side of 640 takes a tenth of a second.
LONGEST = 640
ABOVE, ASIDE = 0.06, 0.12  # of the window: what is cut away above and below, left and right
# On 60 people set into plain scenes 0.35 found 37 and 3 who were not there; 1.0 found 28 and 1.
SURE = 0.35
OVERLAP = 0.5


def people_in(image: Image.Image) -> tuple[Box, ...]:
    """A box for every person found, in pixels of the photo, the surest first; empty where nobody was found.

    The detector's window has a margin around the person; the boxes are without most of it and end at the border.
    """
    factor = min(1.0, LONGEST / max(image.size))
    small = image.convert("L").resize((round(image.width * factor), round(image.height * factor)))
    grey = np.asarray(small)
    if grey.shape[0] < 128 or grey.shape[1] < 64:
        return ()
    windows, weights = _detector().detectMultiScale(grey, winStride=(8, 8), padding=(16, 16), scale=1.05)
    found = sorted(zip(np.ravel(weights), windows, strict=True), key=lambda pair: -pair[0])
    return _distinct(_tight(window, factor, image.size) for weight, window in found if weight >= SURE)


@cache
def _detector() -> Any:
    import cv2

    cv2.setNumThreads(1)
    detector: Any = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    return detector


def _tight(window: Any, factor: float, size: tuple[int, int]) -> Box:
    """The window as pixels of the photo, without its margins; at the sides half of them stay, where arms are."""
    left, top, width, height = (float(value) / factor for value in window)
    aside, above = width * ASIDE, height * ABOVE
    right, bottom = min(size[0], round(left + width - aside)), min(size[1], round(top + height - above))
    return Box(max(0, round(left + aside)), max(0, round(top + above)), right, bottom)


def _distinct(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """The boxes without those that lie mostly on one before them."""
    kept: list[Box] = []
    for box in boxes:
        if _area(box) and all(_overlap(box, other) < OVERLAP for other in kept):
            kept.append(box)
    return tuple(kept)


def _area(box: Box) -> int:
    return max(0, box.right - box.left) * max(0, box.bottom - box.top)


def _overlap(one: Box, other: Box) -> float:
    """What two boxes share, as a part of the smaller one."""
    shared = Box(*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:]))
    return _area(shared) / min(_area(one), _area(other))
