"""A clip at a glance: frames with masks and bodies laid over them, for ``preview.html`` (``preview_page.py``)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from models.body import BodyModel
from models.geometry import project, to_camera
from preprocessing.sample import Sample

COLOURS = np.array([[255, 170, 60], [80, 190, 255], [150, 230, 90], [240, 110, 220]], np.float32)
"""RGB of the first, second, … person, repeating."""
PICTURE_WIDTH_PX = 256
CANVAS_WIDTH_PX = 3 * PICTURE_WIDTH_PX
"""Bodies are painted at this width and then shrunk: their triangles are smaller than the pixels of a picture."""

Picture = UInt8[np.ndarray, "H W 3"]


def draw_sheet(sample: Sample, body: BodyModel, columns: int = 6) -> bytes:
    """A JPEG of frames spread over the clip: masks laid over them above, bodies below.

    Frames in which a person was not found (whose body is interpolated) are framed in red.
    """
    rows: tuple[list[Picture], list[Picture]] = ([], [])
    for frame in np.unique(np.linspace(0, sample.num_frames - 1, columns).round().astype(int)).tolist():
        pictures = _draw_masks(sample, frame), _draw_bodies(sample, frame, body)
        for row, picture in zip(rows, pictures, strict=True):
            height = round(picture.shape[0] * PICTURE_WIDTH_PX / picture.shape[1])
            picture = cv2.resize(picture, (PICTURE_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
            if not sample.bodies.valid[:, frame].all():
                cv2.rectangle(picture, (0, 0), (PICTURE_WIDTH_PX - 1, height - 1), (230, 40, 40), 3)
            row.append(picture)
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    return cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _draw_masks(sample: Sample, frame: int) -> Picture:
    picture = sample.video[frame].astype(np.float32)
    for person, mask in enumerate(sample.masks[:, frame]):
        colour = COLOURS[person % len(COLOURS)]
        picture = np.where(mask[..., None], 0.55 * picture + 0.45 * colour, picture)
        outline = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
        picture = cv2.drawContours(np.ascontiguousarray(picture), outline, -1, colour.tolist(), 1)
    return picture.astype(np.uint8)


def _draw_bodies(sample: Sample, frame: int, body: BodyModel) -> Picture:
    bodies = sample.bodies
    with torch.no_grad():
        vertices = body(
            torch.from_numpy(bodies.betas).float(),
            torch.from_numpy(bodies.pose[:, frame]).float(),
            torch.from_numpy(bodies.translation[:, frame]).float(),
            None if bodies.expression is None else torch.from_numpy(bodies.expression[:, frame]).float(),
        ).vertices
        intrinsics = torch.from_numpy(sample.cameras.intrinsics[frame]).float().expand(len(vertices), 3, 3)
        world_to_camera = torch.from_numpy(sample.cameras.world_to_camera[frame]).float().expand(len(vertices), 4, 4)
        pixels, depth = project(vertices, intrinsics, world_to_camera)
        triangles = to_camera(vertices, world_to_camera)[:, body.faces]
    normals = torch.linalg.cross(
        triangles[..., 1, :] - triangles[..., 0, :], triangles[..., 2, :] - triangles[..., 0, :]
    )
    towards = -torch.nn.functional.normalize(normals, dim=-1)[..., 2].numpy()
    scale = CANVAS_WIDTH_PX / sample.video.shape[2]
    canvas = cv2.resize(sample.video[frame], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    corners = (scale * pixels)[:, body.faces].numpy()
    layer, covered = _paint(corners, depth[:, body.faces].mean(dim=-1).numpy(), towards, canvas)
    return np.where(covered[..., None], 0.15 * canvas + 0.85 * layer, canvas).astype(np.uint8)


def _paint(
    triangles: Float[np.ndarray, "P T 3 2"],
    depth: Float[np.ndarray, "P T"],
    towards: Float[np.ndarray, "P T"],
    canvas: UInt8[np.ndarray, "H W 3"],
) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]:
    """Triangles from back to front, lit from the camera, in a layer over ``canvas``; and which pixels they cover.

    ``towards`` is the cosine between a triangle's outer normal and the direction of the camera.
    """
    layer = np.zeros((*canvas.shape[:2], 4), np.uint8)  # colour, and whether anything covers the pixel
    # Fixed point with four bits; OpenCV puts the centre of the first pixel at 0, this project at 0.5.
    corners: Int[np.ndarray, "P T 3 2"] = np.round(triangles * 16).astype(np.int32) - 8
    facing = (towards > 0) & (depth > 0)
    people, faces = np.nonzero(facing)
    order = np.argsort(-depth[facing], kind="stable")
    people, faces = people[order], faces[order]
    colours = COLOURS[people % len(COLOURS)] * (0.2 + 0.8 * towards[people, faces])[:, None]
    paints = np.concatenate([colours, np.ones((len(colours), 1))], axis=1).tolist()
    for triangle, paint in zip(corners[people, faces], paints, strict=True):
        cv2.fillConvexPoly(layer, triangle, paint, shift=4)
    return layer[..., :3], layer[..., 3] > 0
