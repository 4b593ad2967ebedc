import cv2
import numpy as np
import pytest
import torch

from models.body import BodyModel, SurfacePoints
from models.geometry import invert_rigid, plucker_rays, project
from preprocessing.rendering.bodies import render_bodies, render_maps
from preprocessing.rendering.posing import posed_vertices
from preprocessing.rendering.rays import directions, eyes
from preprocessing.rendering.tracer import Meshes, Tracer, vertex_normals
from preprocessing.sample import Bodies, Cameras, Sample
from preprocessing.sample_files import decode, encode
from preprocessing.synthetic.clip import ClipSettings, synthesize
from preprocessing.synthetic.people.figure import dress
from preprocessing.synthetic.people.person import person
from preprocessing.synthetic.render.clip_render import Scene, render_clip
from preprocessing.synthetic.scene.world import Place

SIZE = (64, 64)


def widened(mask: np.ndarray) -> np.ndarray:
    """A mask and the pixels that touch it."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def about(mask: np.ndarray) -> np.ndarray:
    """A mask and what is so thin that it covers less than half of its pixels: arms far away, brims of hats."""
    return widened(widened(widened(mask)))


def outline_px(mask: np.ndarray) -> int:
    return int((widened(mask) & ~mask).sum())


def moved(bodies: Bodies, by: list[float]) -> Bodies:
    by32 = np.array(by, np.float32)
    return Bodies(bodies.betas, bodies.pose, bodies.translation + by32, bodies.confidence, bodies.valid)


def together(*people: Bodies) -> Bodies:
    names = ("betas", "pose", "translation", "confidence", "valid")
    return Bodies(**{name: np.concatenate([getattr(p, name) for p in people]) for name in names})


def test_rays_hit_what_geometry_says() -> None:
    """Against the definition: the nearest of all triangles whose barycentric coordinates are in range."""
    rng = np.random.default_rng(0)
    vertices, faces = rng.normal(size=(2, 30, 3)).astype(np.float32), rng.permutation(30).reshape(10, 3)
    origin = np.array([0.0, 0, -5], np.float32)
    rays = rng.normal(size=(400, 3)) * [0.2, 0.2, 0] + [0, 0, 1]
    rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)
    hits = Tracer(Meshes([faces, faces], [30, 30]), vertices.reshape(60, 3)).trace(origin, rays)

    a, b, c = np.moveaxis(vertices[:, faces].reshape(20, 3, 3).astype(float), 1, 0)
    matrices = np.stack(np.broadcast_arrays(b - a, c - a, -rays[:, None].astype(float)), axis=-1)
    u, v, distance = np.moveaxis(np.linalg.solve(matrices, (origin - a)[None, ..., None])[..., 0], -1, 0)
    distance = np.where((u > 0) & (v > 0) & (u + v < 1) & (distance > 0), distance, np.inf)
    nearest, expected = distance.argmin(axis=1), np.isfinite(distance.min(axis=1))
    assert 50 < expected.sum() < 350
    np.testing.assert_array_equal(hits.ray, np.nonzero(expected)[0])
    np.testing.assert_array_equal(hits.person, nearest[expected] // 10)
    np.testing.assert_array_equal(hits.corners, faces[nearest[expected] % 10])
    np.testing.assert_allclose(hits.distance_m, distance.min(axis=1)[expected], rtol=1e-4)
    at = hits.interpolate(vertices[hits.person[:, None], hits.corners])
    np.testing.assert_allclose(at, origin + hits.distance_m[:, None] * rays[hits.ray], atol=1e-4)


def test_a_shadow_falls_where_the_light_is_blocked() -> None:
    square = np.array([[[-1, 1, -1], [1, 1, -1], [1, 1, 1], [-1, 1, 1]]], np.float32)
    light = np.array([0.6, 0.8, 0.0], np.float32)
    x = np.linspace(-3, 3, 61, dtype=np.float32) + 0.01
    points = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=1)
    lit = Tracer(Meshes([np.array([[0, 1, 2], [0, 2, 3]])], [4]), square[0]).in_light(points, light)
    np.testing.assert_array_equal(lit, np.abs(x + 0.75) > 1)  # one metre up, the ray is 0.75 m further


def test_normals_of_a_body_point_outwards(body: BodyModel) -> None:
    faces = body.faces.numpy()
    rest = body.rest_vertices.numpy()
    normals = vertex_normals(rest, faces)
    np.testing.assert_allclose(np.linalg.norm(normals[faces.ravel()], axis=1), 1, atol=1e-5)
    corners = rest[faces].astype(float)
    volume = (np.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum() / 6
    assert 0.04 < volume < 0.12  # cubic metres: positive, so triangles wind outwards
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals[faces].mean(axis=1) * flat).sum(axis=1) > 0).mean() > 0.99


def test_surface_points_lie_inside_the_mask(body: BodyModel, clips: list[Sample]) -> None:
    """Points of the stored body, seen by the stored camera: the picture's mask must say the same."""
    points = SurfacePoints(body, num_points=500)
    for clip in clips:
        bodies, cameras = clip.bodies, clip.cameras
        betas = torch.as_tensor(bodies.betas).expand(clip.num_frames, -1)
        world = points(betas, torch.as_tensor(bodies.pose[0]), torch.as_tensor(bodies.translation[0]))
        pixels, _ = project(world, torch.as_tensor(cameras.intrinsics), torch.as_tensor(cameras.world_to_camera))
        column, row = pixels.floor().long().unbind(-1)
        for frame in range(clip.num_frames):
            near_mask = about(clip.masks[0, frame])
            assert near_mask[row[frame], column[frame]].mean() > 0.99
            assert clip.masks[0, frame].any(axis=1).sum() > 0.3 * SIZE[0]


def test_plucker_rays_meet_the_surface_that_was_rendered(body: BodyModel, clips: list[Sample]) -> None:
    for clip in clips[:4]:
        intrinsics, world_to_camera = (
            torch.as_tensor(m)[None] for m in (clip.cameras.intrinsics, clip.cameras.world_to_camera)
        )
        moment, direction = plucker_rays(intrinsics, world_to_camera, SIZE)[0].chunk(2, dim=1)
        to_first = world_to_camera[0, :1] @ torch.eye(4)
        vertices = posed_vertices(body, clip.bodies)[0]
        for frame in (0, clip.num_frames - 1):
            rays = directions(clip.cameras, frame, SIZE, supersample=1)
            tracer = Tracer(Meshes([body.faces.numpy()], [body.num_vertices]), vertices[frame])
            hits = tracer.trace(eyes(clip.cameras)[frame].astype(np.float32), rays)
            assert len(hits.ray) > 100
            at = torch.as_tensor(hits.interpolate(vertices[frame][hits.corners]))
            at = at @ to_first[0, :3, :3].T + to_first[0, :3, 3]  # in the first camera, as Plücker rays are
            m, d = (x[frame].flatten(1).T[hits.ray] for x in (moment, direction))
            assert (torch.linalg.cross(at.float(), d) - m).norm(dim=-1).max() < 2e-3  # metres from the ray
            bare = np.zeros(SIZE[0] * SIZE[1], bool)
            bare[hits.ray] = True
            assert (bare.reshape(SIZE) & ~clip.masks[0, frame]).sum() < 0.25 * outline_px(clip.masks[0, frame])


def test_the_background_is_the_clip_without_person_and_shadow(body: BodyModel, clips: list[Sample]) -> None:
    """Where no ray meets the person, a pixel is that of the background or, where shadow falls, darker."""
    for clip in clips:
        assert clip.background is not None
        touched = np.stack([about(mask) for mask in clip.masks[0]])
        video, background = clip.video[~touched].astype(int), clip.background[~touched].astype(int)
        same = (video == background).all(axis=1)
        assert 0.4 < same.mean() < 1  # the sun may be low
        assert (video <= background).all()
        shadow = (background - video)[~same].sum(axis=1)
        assert shadow.max() > 60  # it is there to be seen
        inside = (clip.video != clip.background).any(axis=-1)[clip.masks[0]]
        assert inside.mean() > 0.95


def test_a_still_camera_sees_a_still_background(body: BodyModel) -> None:
    clip = synthesize(body, ClipSettings("video", size=32, num_frames=5), 0)
    assert clip.background is not None
    assert (clip.background == clip.background[:1]).all()
    assert (clip.cameras.world_to_camera == clip.cameras.world_to_camera[:1]).all()
    assert (clip.video != clip.video[:1]).any()


def test_the_nearer_of_two_people_hides_the_other(body: BodyModel, clips: list[Sample]) -> None:
    clip = clips[0]
    camera = Cameras(clip.cameras.intrinsics[:1].repeat(5, 0), clip.cameras.world_to_camera[:1].repeat(5, 0))
    away = invert_rigid(torch.as_tensor(camera.world_to_camera[0]))[:3, 2].numpy() * [1, 0, 1]
    front, behind = clip.bodies, moved(clip.bodies, list(0.8 * away))
    people = [person(0), person(1)]
    world = Place(0).build(2.0, 6.0, 2.0, np.zeros((0, 2)))

    def draw(bodies: Bodies, wear: list) -> tuple[np.ndarray, np.ndarray]:
        figures = [dress(body, *worn) for worn in zip(posed_vertices(body, bodies), wear, strict=True)]
        drawn = render_clip(Scene(figures, camera, world), SIZE)
        return drawn.video, drawn.masks

    alone, both = draw(front, people[:1])[1], draw(together(front, behind), people)
    swapped = draw(together(behind, front), people[::-1])
    np.testing.assert_array_equal(both[1][0], alone[0])  # the front person is seen as if alone
    assert not (both[1][0] & both[1][1]).any()
    assert both[1][1].sum() < draw(behind, people[1:])[1].sum()
    np.testing.assert_array_equal(both[0], swapped[0])  # the order of people does not matter
    np.testing.assert_array_equal(both[1], swapped[1][::-1])


def test_bodies_alone_lie_inside_the_masks_of_the_clip(body: BodyModel, clips: list[Sample]) -> None:
    """Clothes and hair only add to a body's mask."""
    for clip in clips:
        masks = render_bodies(body, clip.bodies, clip.cameras, SIZE)[1]
        assert (masks & ~clip.masks).sum() < 0.02 * masks.sum()
        assert 0.5 < masks.sum() / clip.masks.sum() <= 1.01
    clip = clips[1]
    picture, masks = render_bodies(body, clip.bodies, clip.cameras, SIZE)
    assert all((frame[~about(mask)] == 255).all() for frame, mask in zip(picture, masks[0], strict=True))
    assert picture[masks[0]].std(axis=0).min() > 10  # parts and shading

    half = Bodies(*vars(clip.bodies).values())
    half.valid = np.array([[True, False, True, False, True]])
    picture, masks = render_bodies(body, half, clip.cameras, SIZE)
    np.testing.assert_array_equal(masks[0].any(axis=(1, 2)), half.valid[0])
    assert (picture[1] == 255).all()


@pytest.mark.parametrize("supersample", [1, 3])
def test_sampling_more_finely_changes_only_edges(body: BodyModel, clips: list[Sample], supersample: int) -> None:
    clip = clips[2]
    masks = render_bodies(body, clip.bodies, clip.cameras, SIZE, supersample)[1]
    usual = render_bodies(body, clip.bodies, clip.cameras, SIZE)[1]
    assert (masks ^ usual).sum() < sum(outline_px(mask) for mask in usual[0])


def test_someone_out_of_the_picture_is_not_seen(body: BodyModel, clips: list[Sample]) -> None:
    clip = clips[1]
    side = torch.as_tensor(clip.cameras.world_to_camera[0, 0, :3]).numpy()
    bodies = together(moved(clip.bodies, list(50.0 * side)), clip.bodies)
    picture, masks = render_bodies(body, bodies, clip.cameras, SIZE)
    alone, own_masks = render_bodies(body, clip.bodies, clip.cameras, SIZE)
    assert not masks[0].any()
    np.testing.assert_array_equal(masks[1], own_masks[0])
    np.testing.assert_array_equal(picture, alone)


def test_a_stored_sample_renders_the_same_bodies(body, clips):
    """Encoding loses nothing of bodies and cameras: the same camera sees the same pixels."""
    for clip in clips[:2]:
        stored = decode(clip.key, encode(clip))
        before = render_bodies(body, clip.bodies, clip.cameras, (64, 64))
        after = render_bodies(body, stored.bodies, stored.cameras, (64, 64))
        for first, second in zip(before, after, strict=True):
            assert np.array_equal(first, second)
        assert np.array_equal(stored.masks, clip.masks)


def test_maps_show_the_normals_and_places_of_the_body_that_is_seen(body: BodyModel, clips: list[Sample]) -> None:
    """Against surface points: where one is seen, its pixel has its place on the body at rest, and faces the camera."""
    clip, size = clips[1], (256, 256)
    cameras = Cameras(clip.cameras.intrinsics * np.float32([[4], [4], [1]]), clip.cameras.world_to_camera)
    maps = render_maps(body, clip.bodies, cameras, size)
    covered = render_bodies(body, clip.bodies, cameras, size, supersample=1)[1][0]
    np.testing.assert_array_equal(maps.covered, covered)
    assert (maps.normals[~covered] == 128).all()
    assert (maps.parts[~covered] == 128).all()
    normals = maps.normals[covered] / 127.5 - 1
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=0.02)
    assert (normals[:, 2] < 0.1).mean() > 0.99

    points = SurfacePoints(body, 2000)
    bodies = clip.bodies
    posed = points(*(torch.as_tensor(a) for a in (bodies.betas[0], bodies.pose[0, 0], bodies.translation[0, 0])))
    rest = body.shaped_at(torch.arange(body.num_vertices), torch.as_tensor(bodies.betas[0]))
    middle = (rest.amin(dim=0) + rest.amax(dim=0)) / 2
    pixels, depth = project(posed, *map(torch.as_tensor, (cameras.intrinsics[0], cameras.world_to_camera[0])))
    column, row = pixels.long().clamp(0, 255).T.numpy()
    expected = (points.rest(torch.as_tensor(bodies.betas[0])) - middle).numpy()
    off = np.abs(maps.parts[0, row, column] / 127.5 - 1 - expected).max(axis=1)
    front = covered[0, row, column] & (depth < depth.median() - 0.05).numpy()  # half of a body hides the other half
    assert front.sum() > 50
    assert np.median(off[front]) < 0.02
