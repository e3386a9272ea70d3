"""Posed bodies as mesh files without skeleton: Wavefront's OBJ and Stanford's PLY.

Axes are x right, y up, z towards the viewer, in which most programs show a body upright: the
photo's camera stands at the origin and looks along -z.
"""

import io
from collections.abc import Sequence

import numpy as np

from smplcli.rendering.gltf import TO_GLTF
from smplcli.rendering.overlay import person_colours
from smplcli.types import Floats, Ints


def obj_file(names: Sequence[str], vertices: Floats, faces: Ints) -> bytes:
    """Bodies as objects of one OBJ file.

    Args:
        names: Name of each body, without spaces.
        vertices: (P, V, 3) placed, metres, camera axes.
        faces: (F, 3) counter-clockwise seen from outside.
    """
    text = io.StringIO()
    text.write("# smplcli; metres\n")
    for index, (name, points) in enumerate(zip(names, vertices * TO_GLTF, strict=True)):
        text.write(f"o {name}\n")
        np.savetxt(text, points, fmt="v %.5f %.5f %.5f")
        np.savetxt(text, faces + 1 + index * len(points), fmt="f %d %d %d")
    return text.getvalue().encode()


def ply_file(vertices: Floats, faces: Ints) -> bytes:
    """Bodies as one binary PLY mesh, each in a colour of its own.

    Args:
        vertices: (P, V, 3) placed, metres, camera axes.
        faces: (F, 3) counter-clockwise seen from outside.
    """
    num_people, num_vertices = vertices.shape[:2]
    points = np.empty(num_people * num_vertices, [("place", "<f4", 3), ("colour", "u1", 3)])
    points["place"] = (vertices * TO_GLTF).reshape(-1, 3)
    points["colour"] = person_colours(num_people).repeat(num_vertices, axis=0)
    triangles = np.empty(num_people * len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"] = 3
    first = num_vertices * np.arange(num_people)[:, None, None]
    triangles["corners"] = (faces + first).reshape(-1, 3)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment smplcli; metres",
        f"element vertex {len(points)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {colour}" for colour in ("red", "green", "blue")),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return "\n".join([*header, ""]).encode() + points.tobytes() + triangles.tobytes()
