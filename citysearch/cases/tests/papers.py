"""What a PDF says, read back by another library than the one that wrote it."""

from __future__ import annotations

import pypdfium2


def pdf_pages(data: bytes) -> list[str]:
    """The text of each page, without its line breaks."""
    with pypdfium2.PdfDocument(data) as paper:
        texts = [page.get_textpage().get_text_range() for page in paper]
    return ["".join(text.splitlines()) for text in texts]


def pdf_text(data: bytes) -> str:
    return "".join(pdf_pages(data))
