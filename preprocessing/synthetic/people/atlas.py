"""People in a user's texture atlases, such as those of SURREAL (Varol et al. 2017) or BEDLAM (Black et al. 2023).

An atlas is a picture in the body's texture coordinates, v up. Where a body file brings none, SMPL's UV template gives
them: the ``.obj`` with ``vt`` and ``f`` lines that accompanies the textures.

Shapes: ``V`` vertices, ``T`` triangles, ``U`` texture coordinates, ``n`` places, ``H W`` pixels of the atlas.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, UnidentifiedImageError

from models.body import BodyModel
from preprocessing.synthetic.people.figure import Figure

SUFFIXES = (".png", ".jpg", ".jpeg")
UV = tuple[Float[np.ndarray, "U 2"], Int[np.ndarray, "T 3"]]
"""Texture coordinates in [0, 1] and, for each triangle of the body, which of them its corners have."""


class AtlasPaint:
    """Paints a body from its atlas, bilinearly.

    Args:
        picture: RGB.
        uv: see ``UV``.
        faces: the body's triangles.
    """

    def __init__(self, picture: UInt8[np.ndarray, "H W 3"], uv: UV, faces: Int[np.ndarray, "T 3"]) -> None:
        self.picture = picture.astype(np.float32) / 255
        coordinates, texture_faces = uv
        self._corners = coordinates[texture_faces].astype(np.float32)
        self._num_vertices = int(faces.max()) + 1
        keys = self._keys(faces)
        self._triangle = np.argsort(keys)
        self._sorted = keys[self._triangle]

    def __call__(
        self, corners: Int[np.ndarray, "n 3"], barycentric: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """See ``Painter``."""
        triangle = self._triangle[np.searchsorted(self._sorted, self._keys(corners))]
        u, v = np.einsum("nk,nkc->cn", barycentric, self._corners[triangle])
        height, width = self.picture.shape[:2]
        column, row = np.clip(u, 0, 1) * width - 0.5, (1 - np.clip(v, 0, 1)) * height - 0.5  # pixel centres at +0.5
        left, top = np.floor(column).astype(int), np.floor(row).astype(int)
        right_share, low_share = (column - left)[:, None], (row - top)[:, None]
        columns, rows = (
            [np.clip(start + more, 0, size - 1) for more in (0, 1)] for start, size in ((left, width), (top, height))
        )
        upper, lower = (
            self.picture[y, columns[0]] * (1 - right_share) + self.picture[y, columns[1]] * right_share for y in rows
        )
        return (upper * (1 - low_share) + lower * low_share).astype(np.float32)

    def _keys(self, corners: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """One number for the three vertices of a triangle: two triangles of a mesh differ in it."""
        first, second, third = corners.astype(np.int64).T
        return (first * self._num_vertices + second) * self._num_vertices + third


class Atlases:
    """A folder of atlases for one body; a person takes one by number.

    Args:
        folder: pictures (``SUFFIXES``), numbered in the order of their names.
        body: what they are painted on.
        template: SMPL's UV template ``.obj``, for a body without texture coordinates.

    Raises:
        ValueError: if the folder holds no atlas, or the texture coordinates are missing or not the body's.
    """

    def __init__(self, folder: Path, body: BodyModel, template: Path | None = None) -> None:
        self.paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        if not self.paths:
            raise ValueError(f"no texture atlases in {folder}: put pictures there that end in {', '.join(SUFFIXES)}")
        self._body, self._uv = body, texture_coordinates(body, template)

    def __len__(self) -> int:
        return len(self.paths)

    def paint(self, number: int) -> AtlasPaint:
        """The painter of a person's atlas: number ``len(self)`` wears the first again.

        Raises:
            ValueError: if the file is not a picture.
        """
        path = self.paths[number % len(self)]
        try:
            with Image.open(path) as file:  # not OpenCV: its PNG reader fails once Embree has loaded another zlib
                picture = np.asarray(file.convert("RGB"))
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read as a picture ({error}): replace or remove it") from error
        return AtlasPaint(picture, self._uv, self._body.faces.numpy())

    def dress(self, vertices: Float[np.ndarray, "F V 3"], number: int) -> Figure:
        """The figure of a posed body in a person's atlas: clothes are part of the picture and have no thickness."""
        body = self._body
        faces = body.faces.numpy().astype(np.int32)
        return Figure(vertices, faces, body.vertex_part.numpy(), self.paint(number))


def texture_coordinates(body: BodyModel, template: Path | None = None) -> UV:
    """The body's own texture coordinates, or those of a UV template where one is given.

    Raises:
        ValueError: if there are neither, or the template belongs to another mesh.
    """
    if template is not None:
        return read_uv_template(template, body.faces.numpy())
    if body.texture_coordinates is None or body.texture_faces is None:
        raise ValueError(
            "this body has no texture coordinates (vt, ft): give the UV template .obj that comes with the textures"
        )
    return body.texture_coordinates.numpy(), body.texture_faces.numpy()


def read_uv_template(path: Path, faces: Int[np.ndarray, "T 3"]) -> UV:
    """The texture coordinates of an ``.obj`` file whose triangles must be the body's, in the same order.

    Raises:
        ValueError: if the file is missing or malformed, or its triangles are not the body's.
    """
    if not path.is_file():
        raise ValueError(f"no UV template at {path}: give the .obj that comes with the textures")
    coordinates: list[list[float]] = []
    corners: list[list[list[int]]] = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        kind, *fields = line.split() or [""]
        try:
            if kind == "vt":
                coordinates.append([float(field) for field in fields[:2]])
            elif kind == "f":
                corners.append([[int(index) - 1 for index in field.split("/")[:2]] for field in fields])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: cannot read {line!r} ({error})") from error
        if kind == "f" and (len(corners[-1]) != 3 or any(len(corner) != 2 for corner in corners[-1])):
            raise ValueError(f"{path}, line {number}: {line!r} is not a triangle with textures (f 1/1 2/2 3/3)")
    if len(corners) != len(faces):
        raise ValueError(f"{path} has {len(corners)} triangles, the body {len(faces)}: it is another body's template")
    indices = np.array(corners, np.int64)
    other = np.nonzero((indices[..., 0] != faces).any(axis=1))[0]
    if len(other):
        theirs, ours = indices[other[0], :, 0].tolist(), faces[other[0]].tolist()
        raise ValueError(
            f"{path}: triangle {other[0]} joins vertices {theirs}, the body's {ours}: the template must list "
            "the body's own triangles in their order"
        )
    if not 0 <= indices[..., 1].min() <= indices[..., 1].max() < len(coordinates):
        raise ValueError(f"{path} names texture coordinates beyond the {len(coordinates)} there are")
    return np.array(coordinates, np.float32), indices[..., 1]
