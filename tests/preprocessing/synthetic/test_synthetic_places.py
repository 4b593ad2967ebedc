from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocessing.synthetic.scene import props
from preprocessing.synthetic.scene.ground import PATTERNS, sample_ground
from preprocessing.synthetic.scene.hdri import find_panoramas, read_panorama
from preprocessing.synthetic.scene.light import sample_light
from preprocessing.synthetic.scene.outdoors import sample_square
from preprocessing.synthetic.scene.room import Room, sample_room
from preprocessing.synthetic.scene.walls import meet_walls
from preprocessing.synthetic.scene.world import Place

NOWHERE = np.zeros((0, 2))


def rays(count: int = 500, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed).normal(size=(3, count)).astype(np.float32)
    return random / np.linalg.norm(random, axis=0)


def volume(triangles: np.ndarray) -> float:
    return float((np.cross(triangles[:, 0], triangles[:, 1]) * triangles[:, 2]).sum() / 6)


def test_boxes_and_bodies_of_revolution_are_closed_and_wound_outwards() -> None:
    assert volume(props.box((2, 3, 4), bottom=1.0, x=5.0)) == pytest.approx(24)
    cylinder = props.turned([0, 2, 2, 0], [0, 0, 3, 3], sides=64)
    assert volume(cylinder) == pytest.approx(np.pi * 4 * 3, rel=0.01)


@pytest.mark.parametrize("thing", sorted({*props.INDOORS, *props.IN_TOWN, *props.OUT_OF_TOWN}, key=str))
def test_things_stand_on_the_ground(thing) -> None:
    for seed in range(5):
        standing = props.stand(thing(np.random.default_rng(seed)), 3.0, -2.0, 0.7)
        assert standing.vertices[:, 1].min() == pytest.approx(0, abs=1e-6)
        assert np.abs(standing.vertices[:, [0, 2]] - [3, -2]).max() < 2
        assert standing.colours.min() >= 0
        assert standing.colours.max() <= 1
        assert len(standing.faces) == len(standing.colours)
        low, high = standing.boxes[0].min(axis=0), standing.boxes[0].max(axis=0)
        np.testing.assert_array_equal([low, high], [standing.vertices.min(axis=0), standing.vertices.max(axis=0)])


def test_things_keep_clear_of_people_and_of_what_is_kept_free() -> None:
    everything = [props.scatter(np.random.default_rng(seed), props.IN_TOWN, 8, 3.0, 5.0, NOWHERE) for seed in range(9)]
    for seed, things in enumerate(everything):
        assert len(things) == 8
        middles = [thing.boxes[0][:, [0, 2]].mean(axis=0) for thing in things]
        assert np.linalg.norm(middles, axis=1).min() > 3.0 - 0.5
        free = middles[0][None]
        fewer = props.scatter(np.random.default_rng(seed), props.IN_TOWN, 8, 3.0, 5.0, free)
        left = {thing.vertices.tobytes() for thing in fewer}
        assert things[0].vertices.tobytes() not in left
        assert left < {thing.vertices.tobytes() for thing in things}  # the others stand where they stood


def test_walls_are_met_where_planes_are() -> None:
    origin, half_size = np.array([0.5, 1.2, -1.0], np.float32), np.array([3.0, 5.0], np.float32)
    directions = rays()
    met = meet_walls(origin, directions, half_size)
    points = origin[:, None] + met.distance_m * directions
    across_x, positive = met.wall < 2, met.wall % 2 == 1
    wall = np.where(across_x, points[0] / half_size[0], points[2] / half_size[1])
    np.testing.assert_allclose(wall, np.where(positive, 1, -1), atol=1e-4)
    np.testing.assert_allclose(met.along_m, np.where(across_x, points[2], points[0]), atol=1e-4)
    np.testing.assert_allclose(met.height_m, points[1], atol=1e-3)
    inside = np.abs(points[[0, 2]]) <= half_size[:, None] + 1e-3
    assert inside.all()


@pytest.mark.parametrize("zero", [0.0, -0.0, 5e-7, -5e-7])
def test_rays_along_a_wall_meet_the_one_ahead(zero: float) -> None:
    directions = np.array([[zero, 0.1, 0.99], [0.99, 0.1, zero], [-0.99, 0.1, zero]], np.float32).T
    met = meet_walls(np.array([0.5, 1.0, 0.5], np.float32), directions, np.array([3.0, 3.0], np.float32))
    np.testing.assert_allclose(met.distance_m, np.array([2.5, 2.5, 3.5]) / 0.99, rtol=1e-4)
    assert met.wall.tolist() == [3, 1, 0]


def test_no_camera_stands_above_the_ceiling() -> None:
    for seed in range(20):
        assert sample_room(np.random.default_rng(seed), 4.0, 3.4).height_m > 3.5


@pytest.mark.parametrize("sample", [partial(sample_room, eye_m=2.0), sample_square])
def test_distances_of_surroundings_lead_onto_them(sample) -> None:
    surroundings = sample(np.random.default_rng(2), 4.0)
    origin, directions = np.array([1.0, 1.5, 0.5], np.float32), rays()
    directions = directions[:, directions[1] > 0]
    colours, distance = surroundings.see(origin, directions)
    assert colours.min() >= 0
    assert colours.max() <= 1
    known = np.isfinite(distance)
    assert known.any()
    points = origin[:, None] + distance[known] * directions[:, known]
    beyond = np.abs(points[[0, 2]]) - surroundings.half_size_m[:, None]
    on_wall = np.abs(beyond.max(axis=0)) < 1e-3
    if isinstance(surroundings, Room):
        on_wall |= np.abs(points[1] - surroundings.height_m) < 1e-3
        assert known.all()
    assert on_wall.all()


def test_a_place_is_the_same_however_large_it_must_be() -> None:
    for number in range(12):
        small, again, large = (Place(number).build(1.0, reach, 2.0, NOWHERE) for reach in (3.0, 3.0, 5.5))
        assert small.ground.pattern == again.ground.pattern == large.ground.pattern
        assert type(small.surroundings) is type(large.surroundings)
        assert small.light.key.strength == large.light.key.strength
        np.testing.assert_array_equal(small.ground.colours, large.ground.colours)
        assert small.props is not None
        np.testing.assert_array_equal(small.props.vertices, again.props.vertices)
    assert len({type(Place(n).build(1.0, 3.0, 2.0, NOWHERE).surroundings) for n in range(20)}) == 3
    assert len({Place(n).light.key.direction.tobytes() for n in range(20)}) == 20


def test_whoever_needs_more_space_than_a_room_goes_out() -> None:
    kinds = {type(Place(n).build(1.0, 20.0, 2.0, NOWHERE).surroundings).__name__ for n in range(20)}
    assert kinds == {"Square", "Field"}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_grounds_are_patterned_near_and_plain_far_away(pattern: str) -> None:
    floor = sample_ground(np.random.default_rng(1), (pattern,))
    places = np.random.default_rng(0).uniform(-20, 20, (2, 4000)).astype(np.float32)
    near, far = (floor.colour(places, np.full(4000, distance, np.float32)) for distance in (1.0, 200.0))
    assert near.std(axis=1).max() > 0.02
    assert far.std(axis=1).max() < 1e-3


def test_light_falls_from_above_and_shade_follows_lamberts_law() -> None:
    for seed in range(20):
        light = sample_light(np.random.default_rng(seed))
        assert light.key.strength > 2 * light.fill.strength > 0
        for lamp in light.lamps:
            assert np.linalg.norm(lamp.direction) == pytest.approx(1, abs=1e-6)
            assert lamp.direction[1] > 0.4
        up = np.array([[0.0, 1, 0], light.key.direction, -light.key.direction], np.float32)
        everything, nothing = (np.full((2, 3), lit) for lit in (True, False))
        ambient = light.shade(up, nothing, 1.0)
        assert ambient[0] == pytest.approx(light.ambient)
        expected = [sum(lamp.strength * max(0.0, float(n @ lamp.direction)) for lamp in light.lamps) for n in up]
        np.testing.assert_allclose(light.shade(up, everything, 1.0) - ambient, expected, atol=1e-6)
        np.testing.assert_allclose(light.shade(up, nothing, 0.5), ambient / 2, rtol=1e-6)


def panorama(path: Path, high_range: bool) -> None:
    """Grey, red on the viewer's right (-x), blue above, and one bright spot ahead (+z) and high up."""
    picture = np.full((64, 128, 3), 0.2, np.float32)
    picture[:20] = [0.1, 0.1, 0.6]
    picture[28:36, 90:102] = [0.9, 0.05, 0.05]
    picture[12:14, 63:65] = 40.0 if high_range else 1.0
    if high_range:
        cv2.imwrite(str(path), picture[..., ::-1])
    else:
        Image.fromarray((picture * 255).astype(np.uint8)).save(path)


@pytest.mark.parametrize("name", ["a.hdr", "a.exr", "a.png"])
def test_a_panorama_is_seen_the_right_way_round(tmp_path: Path, name: str) -> None:
    panorama(tmp_path / name, name != "a.png")
    assert find_panoramas(tmp_path) == [tmp_path / name]
    seen, light = read_panorama(tmp_path / name)
    directions = np.array([[-1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]], np.float32).T
    colours, distance = seen.see(np.zeros(3, np.float32), directions)
    assert np.isinf(distance).all()
    right, left, above, behind = colours.T
    assert right[0] > 3 * right[2]
    assert above[2] > 2 * above[0]
    np.testing.assert_allclose(left, behind, atol=0.02)
    assert light.key.direction[2] > 0.3  # the spot is ahead …
    assert light.key.direction[1] > 0.7  # … and high
    assert abs(light.key.direction[0]) < 0.1
    world = Place(3, tmp_path / name).build(1.0, 3.0, 2.0, NOWHERE)
    np.testing.assert_array_equal(world.surroundings.see(np.zeros(3), directions)[0], colours)


def test_panoramas_between_pixels_are_interpolated(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 1, 128, dtype=np.float32)[None, :, None], (64, 1, 3))
    Image.fromarray(np.round(255 * ramp).astype(np.uint8)).save(tmp_path / "ramp.png")
    seen, _ = read_panorama(tmp_path / "ramp.png")
    azimuth = np.linspace(-2, 2, 200)
    directions = np.stack([-np.sin(azimuth), 0 * azimuth, np.cos(azimuth)]).astype(np.float32)
    expected = ((azimuth / (2 * np.pi) + 0.5) * 128 - 0.5) / 127
    np.testing.assert_allclose(seen.see(np.zeros(3), directions)[0][0], expected, atol=3e-3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(path), "60×50"),
        (lambda path: path.write_bytes(b"no picture"), "cannot be read"),
    ],
)
def test_bad_panoramas_are_explained(tmp_path: Path, make, says: str) -> None:
    make(tmp_path / "bad.png")
    with pytest.raises(ValueError, match=says):
        read_panorama(tmp_path / "bad.png")
    with pytest.raises(ValueError, match=r"no panorama in .*empty"):
        find_panoramas(tmp_path / "empty")
