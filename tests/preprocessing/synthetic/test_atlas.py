"""Textures of users: colours come from where the texture coordinates say, and wrong files are named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.body import BodyModel
from preprocessing.synthetic.people.atlas import Atlases, AtlasPaint, read_uv_template, texture_coordinates


def write_template(path: Path, uv: tuple[np.ndarray, np.ndarray], faces: np.ndarray) -> Path:
    coordinates, texture_faces = uv
    lines = [f"vt {u:.7f} {v:.7f}" for u, v in coordinates]
    lines += [
        "f " + " ".join(f"{a + 1}/{b + 1}" for a, b in zip(*pair, strict=True))
        for pair in zip(faces, texture_faces, strict=True)
    ]
    path.write_text("# SMPL's UV template\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def ramp() -> np.ndarray:
    """Red grows with u, green with v, in an atlas whose pixels are small."""
    v, u = np.mgrid[0:64, 0:128] + 0.5
    return np.stack([255 * u / 128, 255 * (1 - v / 64), np.full_like(u, 40)], axis=-1).round().astype(np.uint8)


def test_colours_lie_where_the_coordinates_say(body: BodyModel, ramp: np.ndarray) -> None:
    uv = texture_coordinates(body)
    rng = np.random.default_rng(0)
    faces = body.faces.numpy()
    chosen = rng.integers(0, len(faces), 4000)
    barycentric = rng.dirichlet([1, 1, 1], 4000).astype(np.float32)
    colours = AtlasPaint(ramp, uv, faces)(faces[chosen], barycentric)
    at = np.einsum("nk,nkc->nc", barycentric, uv[0][uv[1][chosen]])
    inside = (np.abs(at - 0.5) < 0.49).all(axis=1)
    np.testing.assert_allclose(colours[inside, :2], at[inside], atol=4e-3)
    np.testing.assert_allclose(colours[:, 2], 40 / 255, atol=1e-6)


def test_between_two_pixels_lies_their_mean() -> None:
    picture = np.zeros((1, 2, 3), np.uint8)
    picture[0, 1] = 255
    uv = np.array([[0.5, 0.5], [0.25, 0.5], [1.0, 0.5]], np.float32), np.array([[0, 1, 2]])
    paint = AtlasPaint(picture, uv, np.array([[0, 1, 2]]))
    corners = np.repeat([[0, 1, 2]], 3, axis=0)
    np.testing.assert_allclose(paint(corners, np.eye(3, dtype=np.float32))[:, 0], [0.5, 0, 1], atol=1e-6)


def test_people_take_atlases_by_number(body: BodyModel, tmp_path: Path) -> None:
    for number, name in enumerate(["b.png", "a.jpg", "c.JPEG"]):
        Image.fromarray(np.full((8, 8, 3), 60 * number, np.uint8)).save(tmp_path / name)
    (tmp_path / "licence.txt").write_text("mine")
    atlases = Atlases(tmp_path, body)
    assert [path.name for path in atlases.paths] == ["a.jpg", "b.png", "c.JPEG"]
    vertices = body.rest_vertices.numpy()[None]
    greys = []
    for number in range(4):
        figure = atlases.dress(vertices, number)
        assert figure.vertices is vertices
        greys.append(figure.paint(figure.faces[:5], np.full((5, 3), 1 / 3, np.float32)).mean() * 255)
    np.testing.assert_allclose(greys, [60, 0, 120, 60], atol=1.5)
    (tmp_path / "a.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read"):
        atlases.paint(0)


def test_a_template_gives_the_coordinates(body: BodyModel, tmp_path: Path) -> None:
    uv, faces = texture_coordinates(body), body.faces.numpy()
    path = write_template(tmp_path / "uv.obj", uv, faces)
    coordinates, texture_faces = read_uv_template(path, faces)
    np.testing.assert_allclose(coordinates, uv[0], atol=1e-6)
    np.testing.assert_array_equal(texture_faces, uv[1])


def test_wrong_templates_are_named(body: BodyModel, tmp_path: Path) -> None:
    uv, faces = texture_coordinates(body), body.faces.numpy()
    with pytest.raises(ValueError, match=r"no UV template at .*uv\.obj"):
        read_uv_template(tmp_path / "uv.obj", faces)
    path = write_template(tmp_path / "uv.obj", uv, faces)
    with pytest.raises(ValueError, match=f"{len(faces)} triangles, the body {len(faces) - 1}"):
        read_uv_template(path, faces[1:])
    with pytest.raises(ValueError, match="triangle 0 joins"):
        read_uv_template(path, faces[::-1])
    path.write_text("vt 0 0\nf 1/1 2/1 3/1 4/1\n")
    with pytest.raises(ValueError, match=r"line 2.*not a triangle"):
        read_uv_template(path, faces)
    path.write_text("vt 0 zero\n")
    with pytest.raises(ValueError, match=r"line 1.*zero"):
        read_uv_template(path, faces)
    path.write_text("vt 0 0\nf 1/1 2/1 3/2\n")
    with pytest.raises(ValueError, match="beyond the 1"):
        read_uv_template(path, np.array([[0, 1, 2]]))


def test_a_body_without_coordinates_asks_for_a_template(body: BodyModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no texture atlases in .*\.png"):
        Atlases(tmp_path, body)
    bare = torch.nn.Module()
    bare.texture_coordinates = bare.texture_faces = None
    bare.__class__ = type("Bare", (BodyModel,), {})
    with pytest.raises(ValueError, match="UV template"):
        texture_coordinates(bare)
