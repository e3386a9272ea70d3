"""HTML and SVG that is escaped by construction, and the frame of a page that loads nothing."""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from smplcli.types import Pixels

STYLE_FILE = "report.css"
WEBP_QUALITY = 82

CONTROL_CHARACTERS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""What no page may hold, and how it is written instead."""

FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{digest}'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<link rel="icon" href="data:,"/>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


class Html(str):
    """Markup, as opposed to text that still has to be escaped."""

    __slots__ = ()


def element(name: str, *children: str | None, **attributes: object) -> Html:
    """An element of HTML or SVG, well-formed as XML too.

    Args:
        name: Tag.
        children: Markup as it is, anything else as escaped text; ``None`` is left out.
        attributes: ``class_`` stands for class, other underscores for hyphens. Numbers are
            rounded to what a screen can show; ``None`` and false are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = "".join(escape(child) for child in children if child is not None)
    if not inside and name in {"img", "br", "rect", "circle", "line", "path", "polyline", "stop"}:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{inside}</{name}>")


def escape(text: str) -> Html:
    """Text as markup; markup as it is."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(text).translate(CONTROL_CHARACTERS))


def join(parts: Iterable[str]) -> Html:
    """Markup and text one after the other."""
    return Html("".join(escape(part) for part in parts))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str | None = None
) -> Html:
    """A table whose first column is text and whose others are numbers, in a box that scrolls.

    Args:
        columns: Their names; none for a table without a head.
        rows: The cells, as many in each.
        class_: For the style.
    """
    names = element("tr", *(element("th", column, scope="col") for column in columns))
    head = element("thead", names) if columns else None
    body = join(
        element(
            "tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])
        )
        for row in rows
    )
    whole = element("table", head, element("tbody", body), class_=class_)
    return element("div", whole, class_="scroll")


def figure(content: str, caption: str, *, class_: str | None = None) -> Html:
    """Something to look at, and what it shows."""
    return element("figure", content, element("figcaption", caption), class_=class_)


def picture(image: Pixels, description: str) -> Html:
    """A picture (H, W, 3) RGB within the page."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    data = base64.b64encode(coded.tobytes()).decode("ascii")
    height, width = image.shape[:2]
    return element(
        "img",
        src=f"data:image/webp;base64,{data}",
        alt=description,
        title=description,
        width=width,
        height=height,
        loading="lazy",
    )


def page(title: str, body: Html) -> bytes:
    """A whole page, whose policy lets the browser load nothing and run nothing.

    Args:
        title: In the window's frame.
        body: Markup.
    """
    style = Path(__file__).with_name(STYLE_FILE).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    text = FRAME.format(digest=digest, title=escape(title), style=style, body=body)
    return text.encode("utf-8", "replace")  # names of files need not be text


def _attribute(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
