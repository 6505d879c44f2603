"""Letters, colours and measures of what is printed.

Latin text is Helvetica, everything else STSong-Light, a font that every reader of PDF with its Asian pack (or any
Chinese font of its machine) shows. Neither is embedded, so the file is small and asks nothing of this machine; a sign
outside of GB 1 (Chinese, Greek, Cyrillic, kana) may stay blank.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.platypus import Paragraph

CHINESE = "STSong-Light"
NOT_LATIN = re.compile("[^\x00-\xff\u2013\u2014\u2026]+")
INK, GREY, LINE = HexColor("#17212c"), HexColor("#4a5968"), HexColor("#b6c0ca")
# The frame of a page keeps PAD points free inside its margins.
MARGIN, HEAD, FOOT, PAD = 16 * mm, 24 * mm, 20 * mm, 6.0
WIDTH = A4[0] - 2 * MARGIN - 2 * PAD

TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12.5, textColor=INK)
NAME = ParagraphStyle("name", TEXT, textColor=GREY)
NOTE = ParagraphStyle("note", NAME, spaceAfter=4, keepWithNext=1)
CODE = ParagraphStyle("code", TEXT, fontName="Courier", fontSize=7.5, leading=10.5)
CREED = ParagraphStyle("creed", TEXT, fontName="Helvetica-Bold")
TITLE = ParagraphStyle("title", CREED, fontSize=17, leading=22, spaceAfter=8)
SECTION = ParagraphStyle("section", CREED, fontSize=12, leading=16, spaceBefore=14, spaceAfter=5, keepWithNext=1)

registerFont(UnicodeCIDFont(CHINESE))
# Compressed and no more: written in letters (base 85) pages and pictures take a quarter more room, and longer.
rl_config.useA85 = 0


def paragraph(text: str, style: ParagraphStyle = TEXT) -> Paragraph:
    """The text as it is, whatever signs of markup are in it; what is not Latin in the Chinese font."""
    marked = NOT_LATIN.sub(lambda run: f'<font name="{CHINESE}">{run[0]}</font>', escape(text))
    return Paragraph(marked, style)
