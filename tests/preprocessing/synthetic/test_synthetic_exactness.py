"""What a stored clip says of itself, against what is seen in it: from its bytes alone and the body model."""

import cv2
import numpy as np
import pytest
import torch

from benchmarks.synthetic_quality import points_on_masks
from models.body import BodyModel, SurfacePoints
from models.geometry import plucker_rays
from preprocessing.rendering.posing import posed_vertices
from preprocessing.rendering.rays import directions, eyes
from preprocessing.rendering.tracer import Meshes, Tracer
from preprocessing.sample import Geometry, Sample
from preprocessing.sample_files import decode, decode_geometry, encode
from preprocessing.synthetic.clip import ClipSettings, synthesize, world_of
from preprocessing.synthetic.motion.plan import Seat
from preprocessing.synthetic.render.view import Stage
from preprocessing.synthetic.scene.world import Place

SIZE = 128
NUM_POINTS = 2000


@pytest.fixture(scope="module", params=["train", "camera", "multi"])
def stored(request, body: BodyModel) -> list[tuple[Sample, Geometry]]:
    """Clips as they come out of a shard; pictures are those of the renderer, not of the codec."""
    clips = []
    for index in range(4):
        clip = synthesize(body, ClipSettings(request.param, size=SIZE, num_frames=5, fps=4.0, geometry=True), index)
        files = encode(clip)
        back = decode(clip.key, files)
        back.video, back.background = clip.video, clip.background
        clips.append((back, decode_geometry(clip.key, files)))
    return clips


def widened(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def matrices(clip: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(clip.cameras.intrinsics), torch.as_tensor(clip.cameras.world_to_camera)


def surface_points(body: BodyModel, clip: Sample, person: int) -> torch.Tensor:
    bodies = clip.bodies
    betas = torch.as_tensor(bodies.betas[person]).expand(clip.num_frames, -1)
    pose, translation = (torch.as_tensor(a[person]) for a in (bodies.pose, bodies.translation))
    return SurfacePoints(body, NUM_POINTS)(betas, pose, translation)


def test_visible_points_of_the_stored_bodies_lie_on_the_masks(body: BodyModel, stored) -> None:
    on, seen = np.sum([points_on_masks(body, clip) for clip, _ in stored], axis=0)
    assert seen > 4 * 5 * 300
    assert on / seen >= 0.995


def test_whoever_is_nearer_owns_the_pixel(body: BodyModel, stored) -> None:
    """Where naked bodies overlap in the picture, the mask is that of the nearer one; clothes may move an edge."""
    agree, contested = 0, 0
    faces = body.faces.numpy().astype(np.int32)
    for clip, _ in stored:
        naked = posed_vertices(body, clip.bodies)
        for frame, eye in enumerate(eyes(clip.cameras)):
            rays = directions(clip.cameras, frame, (SIZE, SIZE), 1)
            depth = np.full((clip.num_people, len(rays)), np.inf)
            for person in range(clip.num_people):
                hits = Tracer(Meshes([faces], [body.num_vertices]), naked[person, frame]).trace(
                    eye.astype(np.float32), rays
                )
                depth[person, hits.ray] = hits.distance_m
            both = np.isfinite(depth).sum(axis=0) > 1
            owner = clip.masks[:, frame].reshape(clip.num_people, -1)
            agree += owner[depth.argmin(axis=0), np.arange(len(rays))][both].sum()
            contested += both.sum()
    if stored[0][0].meta["source"].startswith("synthetic:multi"):
        assert contested > 100
        assert agree / contested > 0.95  # skirts and hair hide more than bodies do
    else:
        assert contested == 0


def test_the_stored_camera_sees_the_stored_background_again(body: BodyModel, stored) -> None:
    """The place is rebuilt from its number; where neither people nor their shadows are, the video is the same too."""
    for clip, _ in stored:
        seats = [Seat(**seat) for seat in clip.meta["seats"]]
        world = world_of(Place(clip.meta["place"]), posed_vertices(body, clip.bodies), clip.cameras, seats)
        stage = Stage(world)
        for frame in range(clip.num_frames):
            again = stage.look(clip.cameras, frame, (SIZE, SIZE), 2)
            assert clip.background is not None
            assert (again.picture != clip.background[frame]).any(axis=-1).mean() < 1e-3  # a ray on an edge
            people = clip.masks[:, frame].any(axis=0)
            darker = (clip.video[frame].astype(int) <= clip.background[frame]).all(axis=-1)
            same = (clip.video[frame] == clip.background[frame]).all(axis=-1)
            beside = ~widened(widened(people))
            assert darker[beside].mean() > 0.995  # but for hair and hems that cover less than half a pixel
            assert same[beside].mean() > 0.5


def test_plucker_rays_of_the_stored_camera_pass_through_what_was_rendered(body: BodyModel, stored) -> None:
    """The stored depth, taken along the rays that the network is told, leads to the stored body's surface."""
    for clip, maps in stored:
        intrinsics, world_to_camera = (m[None] for m in matrices(clip))
        moment, direction = plucker_rays(intrinsics, world_to_camera, (SIZE, SIZE))[0].chunk(2, dim=1)
        first = world_to_camera[0, 0]
        for frame in range(clip.num_frames):
            owned = clip.masks[:, frame].any(axis=0)
            camera_points = _lift(maps.depth[frame], clip.cameras.intrinsics[frame])[owned]
            to_world = torch.linalg.inv(world_to_camera[0, frame].double())
            world = torch.as_tensor(camera_points).double() @ to_world[:3, :3].T + to_world[:3, 3]
            relative = (world @ first[:3, :3].T.double() + first[:3, 3]).float()  # Plücker rays are the first camera's
            m, d = (x[frame].permute(1, 2, 0)[torch.as_tensor(owned)] for x in (moment, direction))
            assert (torch.linalg.cross(relative, d) - m).norm(dim=-1).max() < 5e-3  # metres
            skin = torch.cat([surface_points(body, clip, person)[frame] for person in range(clip.num_people)])
            away = torch.cdist(world.float(), skin).min(dim=1).values
            assert away.median() < 0.06  # cloth
            assert (away < 0.15).float().mean() > 0.9  # skirts and long hair stand further off


def _lift(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Pixel centres at their depth, in the camera's axes."""
    row, column = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
    x = (column - intrinsics[0, 2]) / intrinsics[0, 0] * depth
    y = (row - intrinsics[1, 2]) / intrinsics[1, 1] * depth
    return np.stack([x, y, depth], axis=-1)
