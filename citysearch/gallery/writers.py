"""Processes that check and write the pictures of a large import, so that its threads need not wait for each other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from citysearch.gallery import files
from reid_engine.picture_writer import PictureWriter, Size

log = logging.getLogger(__name__)

# To start one takes as long as to check a thousand pictures. Each holds 16 MB.
ENOUGH = 2048


class Writers:
    """At most so many writers, which threads borrow; none before there are pictures enough for them."""

    def __init__(self, most: int, side_max: int) -> None:
        self.most, self.side_max = most, side_max
        self._expected = 0
        self._idle: SimpleQueue[PictureWriter] = SimpleQueue()

    def expect(self, pictures: int) -> None:
        """So many pictures more will come. On one core nobody helps; where none can be started it goes on without."""
        before, self._expected = self._expected, self._expected + pictures
        if before < ENOUGH <= self._expected and self.most > 1:
            try:
                for _number in range(self.most):
                    self._idle.put(PictureWriter())
            except OSError:
                log.warning("no writer for the import can be started; it goes on without", exc_info=True)

    def written(self, pictures: Sequence[tuple[str, bytes]]) -> list[Size | None]:
        """Width and height of each picture whose file is written; None where it is not, and there is no file."""
        try:
            writer = self._idle.get_nowait()
        except Empty:
            return [None] * len(pictures)
        try:
            sizes = writer.written([(files.picture_place(image), data) for image, data in pictures], self.side_max)
        except OSError:
            return self._given_up(writer, [image for image, _data in pictures])
        self._idle.put(writer)
        return sizes

    def close(self) -> None:
        """End them; the threads have ended before."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _given_up(self, writer: PictureWriter, images: Sequence[str]) -> list[Size | None]:
        log.warning("a writer of the import is gone; it goes on without")
        writer.close()
        files.pictures_remove(images)
        return [None] * len(images)
