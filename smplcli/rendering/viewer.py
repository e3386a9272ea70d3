"""One HTML page that shows photos and the bodies found in them, from all sides and offline."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from smplcli.conventions import SMPL_JOINTS, SMPL_PARENTS
from smplcli.rendering.overlay import colours_of
from smplcli.rendering.shading import AMBIENT, FILL, GLOSS, GLOSS_SHARPNESS, KEY, KEY_LIGHT
from smplcli.types import Floats, Ints

STEPS = (1 << 16) - 1
"""Places that a coordinate of a vertex can take within its body: 0.03 mm in two metres."""

MARKUP = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; {policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
<div id="stage"><canvas id="scene"></canvas><canvas id="marks"></canvas><p id="message"></p></div>
<div id="frames"><button id="play" aria-label="play" aria-pressed="false" hidden>▶</button>
<input id="frame" type="range" min="0" value="0" aria-label="picture">
<span id="count"></span></div>
</main>
<aside>
<h1>{title}</h1>
<p id="name"></p>
<div id="controls">
<label>body <input id="opacity" type="range" min="0" max="100" value="90"></label>
<label><input id="photo" type="checkbox" checked> photo</label>
<label><input id="skeletons" type="checkbox"> skeletons</label>
<label><input id="names" type="checkbox"> joint names</label>
<button id="home">photo's view</button>
</div>
<div id="people"></div>
<table id="jointTable" hidden><thead>
<tr><th>joint</th><th>u px</th><th>v px</th><th>x m</th><th>y m</th><th>z m</th></tr>
</thead><tbody id="joints"></tbody></table>
<div id="notes">{notes}</div>
<p id="help">Drag to turn; wheel or two fingers to zoom; Shift and drag, or two fingers, to move;
click a body to select it.</p>
</aside>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


class Figure(NamedTuple):
    """A person as the page shows them."""

    person_id: int
    track_id: int
    """The same for the same person of a sequence; -1 for who is of none."""

    score: float
    vertices: Floats
    """(V, 3) placed, metres, camera axes."""

    joints3d: Floats
    """(24, 3) placed, metres, camera axes."""

    joints2d: Floats
    """(24, 2), pixels of the full image."""


class Scene(NamedTuple):
    """A picture with its people."""

    name: str
    note: str
    """What to say over the picture; may be empty."""

    photo: bytes | None
    """JPEG, of any size."""

    image_size: tuple[int, int]
    """Width and height of the full image, pixels."""

    focal_length: float
    principal_point: tuple[float, float]
    people: tuple[Figure, ...]
    sequence: str | None = None
    """Name of the sequence that the picture is of, if it is of one."""

    time: float = 0.0
    """Seconds since the sequence began."""


def view_page(
    title: str,
    scenes: Sequence[Scene],
    faces: Ints,
    *,
    notes: Sequence[str],
    colours: Mapping[int, int] = MappingProxyType({}),
) -> bytes:
    """Make a page that needs nothing but a browser with WebGL 2.

    Its policy lets the browser run our script alone and load nothing, whatever names it holds.

    Args:
        title: Heading.
        scenes: Pictures in the order of the slider.
        faces: (F, 3) of all bodies, counter-clockwise seen from outside.
        notes: Sentences that belong below.
        colours: Numbers of the tracks' colours; who is on no track has that of the row.
    """
    script, style = (
        Path(__file__).with_name(name).read_text("utf-8") for name in ("viewer.js", "viewer.css")
    )
    data = {
        "joints": SMPL_JOINTS,
        "parents": SMPL_PARENTS,
        "light": _light(),
        "faces": _base64(faces.astype("<u4").tobytes()),
        "pictures": [_picture(scene, colours) for scene in scenes],
    }
    page = MARKUP.format(
        policy=f"script-src {_hash(script)}; style-src {_hash(style)}",
        title=html.escape(title),
        notes="".join(f"<p>{html.escape(note)}</p>" for note in notes),
        style=style,
        script=script,
        data=_inline_json(data),
    )
    return page.encode("utf-8", "replace")  # names of files need not be text


def _inline_json(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _light() -> dict[str, Any]:
    key = np.array(KEY_LIGHT) / np.linalg.norm(KEY_LIGHT)
    half_way = key + [0.0, 0.0, -1.0]
    return {
        "key": key.tolist(),
        "halfWay": (half_way / np.linalg.norm(half_way)).tolist(),
        "shares": [AMBIENT, KEY, FILL, GLOSS],
        "sharpness": GLOSS_SHARPNESS,
    }


def _picture(scene: Scene, tracks: Mapping[int, int]) -> dict[str, Any]:
    numbers = [tracks.get(x.track_id, index) for index, x in enumerate(scene.people)]
    colours = colours_of(numbers).tolist()
    return {
        "name": scene.name,
        "note": scene.note,
        "photo": None if scene.photo is None else _base64(scene.photo),
        "size": scene.image_size,
        "focal": scene.focal_length,
        "centre": scene.principal_point,
        "sequence": scene.sequence,
        "time": round(scene.time, 4),
        "people": [
            _person(figure, colour) for figure, colour in zip(scene.people, colours, strict=True)
        ],
    }


def _person(figure: Figure, colour: list[int]) -> dict[str, Any]:
    low = figure.vertices.min(axis=0).astype(np.float64)
    step = np.maximum(np.ptp(figure.vertices, axis=0) / STEPS, np.finfo(np.float32).tiny)
    places = np.rint((figure.vertices - low) / step).clip(0, STEPS)
    return {
        "id": figure.person_id,
        "track": figure.track_id,
        "score": round(figure.score, 4),
        "colour": colour,
        "low": low.tolist(),
        "step": step.astype(np.float64).tolist(),
        "vertices": _base64(places.astype("<u2").tobytes()),
        "joints3d": figure.joints3d.astype(np.float64).round(4).tolist(),
        "joints2d": figure.joints2d.astype(np.float64).round(2).tolist(),
    }


def _hash(text: str) -> str:
    """How a content security policy names what it allows."""
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
