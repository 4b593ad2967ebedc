"""Where SMPL and FLAME parameters end and surface points begin: no network sees anything else of a body."""

from __future__ import annotations

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from models.batch import BodyBatch
from preprocessing.sample import Bodies, Cameras


class Surface:
    """Surface points of people, padded to ``max_people``.

    Args:
        num_points: points a person; 0 where nothing looks at bodies (a VAE fit), and then no body model is loaded.
        body: ``open`` or ``open-head``, or a path to an SMPL or FLAME file.
        max_people: P of every batch.

    Raises:
        ValueError: if a number is out of range, or the body model cannot be loaded.
    """

    def __init__(self, num_points: int, body: str, max_people: int) -> None:
        if num_points < 0 or max_people < 1:
            raise ValueError(f"num_points={num_points} must be at least 0 and max_people={max_people} at least 1")
        self.max_people, self._points = max_people, None
        self.body = body if num_points else None
        """None where nothing looks at bodies."""
        if num_points:
            from models.body import SurfacePoints, load_body  # slow to import: a VAE fit does without

            self._points = SurfacePoints(load_body(body), num_points)

    @torch.no_grad()
    def __call__(self, bodies: Bodies) -> tuple[Float[Tensor, "P F N 3"], Float[Tensor, "P N 3"]]:
        """Points of each person in each frame (world, metres) and at rest (the T-pose for a body).

        Raises:
            ValueError: if the clip shows heads and ``body`` is a whole body's model, or the reverse.
        """
        num_people, num_frames = bodies.pose.shape[:2]
        if self._points is None:
            return torch.empty(num_people, num_frames, 0, 3), torch.empty(num_people, 0, 3)
        betas, pose, translation = map(torch.from_numpy, (bodies.betas, bodies.pose, bodies.translation))
        expression = None if bodies.expression is None else torch.from_numpy(bodies.expression)
        posed = self._points(repeat(betas, "P c -> P F c", F=num_frames), pose, translation, expression)
        return posed, self._points.rest(betas)

    def pad(self, key: str, people: Tensor) -> Tensor:
        """Zeros for the people that are not there; ``person_mask`` says which.

        Raises:
            ValueError: if there are more than ``max_people``.
        """
        missing = self.max_people - people.shape[0]
        if missing < 0:
            raise ValueError(
                f"clip {key!r} has {people.shape[0]} people, max_people is {self.max_people}: set max_people to at "
                f"least {people.shape[0]}"
            )
        return torch.cat([people, people.new_zeros(missing, *people.shape[1:])])

    def to_batch(
        self,
        key: str,
        points: Float[Tensor, "P F N 3"],
        rest_points: Float[Tensor, "P N 3"],
        cameras: Cameras,
        image_size: tuple[int, int],
    ) -> BodyBatch:
        """A batch of one. Raises ``ValueError`` if there are more than ``max_people``."""
        return BodyBatch(
            points=self.pad(key, points)[None],
            rest_points=self.pad(key, rest_points)[None],
            person_mask=(torch.arange(self.max_people) < points.shape[0])[None],
            intrinsics=torch.from_numpy(cameras.intrinsics)[None],
            world_to_camera=torch.from_numpy(cameras.world_to_camera)[None],
            image_size=image_size,
        )
