"""Bodies of a sample as meshes.

Shapes: ``P`` people, ``F`` frames, ``V`` vertices.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from models.body import BodyModel
from preprocessing.sample import Bodies


def posed_vertices(body: BodyModel, bodies: Bodies) -> Float[np.ndarray, "P F V 3"]:
    """Vertices of all people in all frames, naked: world, metres."""
    num_people, num_frames = bodies.pose.shape[:2]
    faces = [None] * num_people if bodies.expression is None else map(torch.as_tensor, bodies.expression)
    with torch.no_grad():
        people = [
            body(torch.as_tensor(b).expand(num_frames, -1), torch.as_tensor(pose), torch.as_tensor(translation), face)
            for b, pose, translation, face in zip(bodies.betas, bodies.pose, bodies.translation, faces, strict=True)
        ]
    return np.stack([person.vertices.numpy() for person in people])
