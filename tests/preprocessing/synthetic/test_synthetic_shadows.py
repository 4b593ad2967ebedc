import cv2
import numpy as np
import pytest

from preprocessing.sample import Cameras
from preprocessing.synthetic.people.figure import Figure
from preprocessing.synthetic.render.clip_render import Scene, render_clip
from preprocessing.synthetic.render.shadows import contact
from preprocessing.synthetic.render.view import Receivers, Stage, cast_on_ground
from preprocessing.synthetic.scene.cameras import look_at
from preprocessing.synthetic.scene.light import Lamp, Light, towards
from preprocessing.synthetic.scene.props import Props, box, stand
from preprocessing.synthetic.scene.world import Place, World

SIZE = (64, 64)
LIGHT = Light(Lamp(towards(0.5, 0.8), 0.6), Lamp(towards(-1.0, 0.9), 0.2), 0.4)


def cameras(eye: list[float], frames: int = 1) -> Cameras:
    matrix = look_at(np.array([eye]), np.array([[0.0, 0.5, 0.0]])).astype(np.float32)
    intrinsics = np.array([[[80, 0, 32], [0, 80, 32], [0, 0, 1]]], np.float32)
    return Cameras(intrinsics.repeat(frames, 0), matrix.repeat(frames, 0))


def cube(at: tuple[float, float, float], size: float = 0.6) -> Figure:
    """A white cube as a person."""
    vertices = box((size, size, size), at[1], at[0], at[2]).reshape(1, -1, 3).astype(np.float32)
    faces = np.arange(vertices.shape[1], dtype=np.int32).reshape(-1, 3)

    def white(corners: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        return np.ones_like(barycentric)

    return Figure(vertices, faces, np.zeros(vertices.shape[1], int), white)


def world(props: Props | None = None) -> World:
    place = Place(4).build(1.0, 3.0, 2.0, np.zeros((0, 2)))
    return World(place.ground, place.surroundings, LIGHT, props)


def receivers(points: np.ndarray) -> Receivers:
    count = len(points)
    up = np.tile(np.array([0, 1, 0], np.float32), (count, 1))
    lit = np.ones((2, count), bool)
    cast = np.stack([cast_on_ground(points, lamp) for lamp in LIGHT.lamps])
    return Receivers(np.arange(count), points, up, lit, np.ones(count, np.float32), cast)


def test_a_sphere_hides_as_much_of_the_sky_as_integration_says() -> None:
    """Against the cosine-weighted share of random directions of the sky that meet the sphere."""
    middle, radius = np.array([[0.2, 0.3, 0.0]], np.float32), np.array([0.15], np.float32)
    points = np.array([[0.0, 0, 0], [0.25, 0, 0.1], [0.5, 0, 0]], np.float32)
    near, open_sky = contact(receivers(points), middle, radius)
    rng = np.random.default_rng(0)
    u, turn = rng.random(400_000), rng.uniform(0, 2 * np.pi, 400_000)
    sky = np.stack([np.sqrt(u) * np.cos(turn), np.sqrt(1 - u), np.sqrt(u) * np.sin(turn)], axis=1)
    for at, share in zip(points[near], open_sky, strict=True):
        away = middle[0] - at
        along = sky @ away
        met = (along > 0) & (away @ away - along**2 < radius[0] ** 2)
        assert share == pytest.approx(1 - met.mean(), abs=4e-3)


def test_far_from_people_the_whole_sky_is_open() -> None:
    points = np.array([[5.0, 0, 0], [0, 0, -4]], np.float32)
    near, _ = contact(receivers(points), np.array([[0.0, 0.1, 0]], np.float32), np.array([0.1], np.float32))
    assert not len(near)


def test_shadows_lie_where_the_lines_to_the_lamps_are_blocked() -> None:
    """Each pixel of the ground is compared with what the two lamps and the cube say of its middle."""
    seen, at = cameras([0.0, 3.0, 3.5]), (0.3, 0.9, 0.0)  # so high that nothing is dark for being near it
    empty, scene = world(), Scene([cube(at)], seen, world())
    view = Stage(empty).look(seen, 0, SIZE, 1)
    rendering = render_clip(scene, SIZE, supersample=1)
    low, high = np.array([0.0, 0.9, -0.3]), np.array([0.6, 1.5, 0.3])
    points = view.receivers.points.astype(float)
    lit = []
    for lamp in LIGHT.lamps:
        ends = np.stack([(low - points) / lamp.direction, (high - points) / lamp.direction])
        lit.append(ends.min(axis=0).max(axis=1) > ends.max(axis=0).min(axis=1))  # slabs: enters after it has left
    expected = LIGHT.ambient + sum(
        lamp.strength * lamp.direction[1] * sees for lamp, sees in zip(LIGHT.lamps, lit, strict=True)
    )
    ground = rendering.video[0].reshape(-1, 3)[view.receivers.ray], view.picture.reshape(-1, 3)[view.receivers.ray]
    not_cube = ~rendering.masks[0, 0].ravel()[view.receivers.ray]
    ratio = ground[0][not_cube].astype(float).sum(axis=1) / ground[1][not_cube].astype(float).sum(axis=1)
    wrong = np.abs(ratio - (expected / view.receivers.shade)[not_cube]) > 0.02
    assert wrong.mean() < 0.003  # but for rays that graze an edge
    for number in range(2):
        assert (~lit[number][not_cube]).sum() > 10  # both lamps' shadows are in the picture


def test_things_are_in_the_background_and_take_shadows_from_people() -> None:
    thing = stand([(box((1.5, 0.4, 1.5)), np.full(3, 0.9, np.float32))], 0.0, 0.0, 0.0)
    seen = cameras([0.5, 3.0, 4.0])
    rendering = render_clip(Scene([cube((0.0, 0.9, 0.0))], seen, world(thing)), SIZE)
    bare = render_clip(Scene([cube((0.0, 0.9, 0.0))], seen, world()), SIZE)
    changed = (rendering.background != bare.background).any(axis=-1)
    assert changed.mean() > 0.1
    np.testing.assert_array_equal(rendering.masks, bare.masks)  # it stands lower than the cube
    top = Stage(world(thing)).look(seen, 0, SIZE, 1)
    on_top = np.abs(top.receivers.points[:, 1] - 0.4) < 0.01
    assert on_top.sum() > 50
    pixel = top.receivers.ray[on_top]
    darker = rendering.video[0].reshape(-1, 3)[pixel].sum(axis=1) < rendering.background[0].reshape(-1, 3)[pixel].sum(
        axis=1
    )
    assert 0.1 < darker.mean() < 0.9


def test_a_thing_before_a_person_hides_them() -> None:
    thing = stand([(box((2.0, 1.2, 0.2)), np.full(3, 0.5, np.float32))], 0.0, 2.0, 0.0)
    seen = cameras([0.0, 0.8, 5.0])
    hidden = render_clip(Scene([cube((0.0, 0.0, 0.0))], seen, world(thing)), SIZE)
    assert render_clip(Scene([cube((0.0, 0.0, 0.0))], seen, world()), SIZE).masks.any()
    assert not hidden.masks.any()


def test_without_its_backdrop_a_place_is_black_but_hides_and_shades_as_before() -> None:
    thing = stand([(box((0.5, 1.2, 0.2)), np.full(3, 0.5, np.float32))], 0.0, 1.0, 0.0)
    people, seen = [cube((0.0, 0.0, 0.0))], cameras([0.4, 0.8, 5.0])
    whole, alone = (render_clip(Scene(people, seen, world(thing), shown), SIZE) for shown in (True, False))
    assert whole.masks.sum() < render_clip(Scene(people, seen, world()), SIZE).masks.sum()  # partly hidden
    np.testing.assert_array_equal(whole.masks, alone.masks)
    assert not alone.background.any()
    inner = cv2.erode(alone.masks[0, 0].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    outer = cv2.dilate(alone.masks[0, 0].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    np.testing.assert_array_equal(alone.video[0][inner], whole.video[0][inner])
    assert not alone.video[0][~outer].any()


def test_maps_say_how_far_which_way_and_what() -> None:
    """A cube seen straight on: depth and normals are known."""
    matrix = look_at(np.array([[0.0, 0.3, 5.0]]), np.array([[0.0, 0.3, 0.0]])).astype(np.float32)
    seen = Cameras(cameras([0.0, 0.0, 1.0]).intrinsics, matrix)
    rendering = render_clip(Scene([cube((0.0, 0.0, 0.0))], seen, world()), SIZE, with_geometry=True)
    maps, mask = rendering.geometry, rendering.masks[0]
    assert maps is not None
    np.testing.assert_allclose(maps.depth[mask], 4.7, atol=1e-3)
    np.testing.assert_allclose(maps.normals[mask], np.tile([0.0, 0, -1], (mask.sum(), 1)), atol=1e-3)
    assert (maps.parts[mask] == 1).all()
    assert (maps.parts[~mask] == 0).all()
    below = ~mask[0]
    below[:40] = False  # the ground: it lies 0.3 m under the camera's axis
    row = np.nonzero(below)[0] + 0.5
    np.testing.assert_allclose(maps.depth[0][below], 0.3 * 80 / (row - 32), rtol=0.03)
    np.testing.assert_allclose(maps.normals[0][below], np.tile([0.0, -1, 0], (below.sum(), 1)), atol=1e-3)
