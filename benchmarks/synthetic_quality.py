"""How true synthetic clips are, in figures and in one picture.

    python -m benchmarks.synthetic_quality --out docs

Prints, for every motion of the repertoire: how fast standing feet move over the ground, how deep soles sink into it and
how much of the forearms and hands lies inside the body; then how near people come to one another in clips of several;
then which share of the stored bodies' visible points lies on the masks. Writes ``results/synthetic_quality.json`` and
the contact sheet ``synthetic.jpg`` into ``--out``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from models.body import BodyModel, SurfacePoints, load_body
from models.geometry import project
from preprocessing.rendering.posing import posed_vertices
from preprocessing.rendering.rays import eyes
from preprocessing.rendering.tracer import Meshes, Tracer
from preprocessing.sample import Sample
from preprocessing.synthetic.cast import as_bodies
from preprocessing.synthetic.clip import ClipSettings, synthesize, world_of
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.motion.plan import Seat
from preprocessing.synthetic.motion.quality import arms_inside, foot_contact
from preprocessing.synthetic.motion.repertoire import MOTIONS
from preprocessing.synthetic.motion.together import choreograph
from preprocessing.synthetic.people.figure import dress
from preprocessing.synthetic.people.person import person
from preprocessing.synthetic.scene.world import Place
from preprocessing.synthetic.scores import apart_m

NUM_FRAMES, FPS = 33, 16.0
PEOPLE_A_MOTION = 12
GROUPS = 40
CLIPS = 24
NUM_POINTS, SEEN_WITHIN_M = 2000, 0.01

SHEET = {"train": 14, "multi": 6, "face": 4}
"""Clips of each set in the contact sheet."""
SHEET_PX, SHEET_COLUMNS = 256, 6


def of_motion(body: BodyModel, name: str) -> dict[str, float]:
    """Means over people, but the deepest sole of all."""
    drift, lowest, inside = [], [], []
    for number in range(PEOPLE_A_MOTION):
        betas = person(number).betas
        done = perform(np.random.default_rng(number), body, betas, NUM_FRAMES, FPS, name)
        feet = foot_contact(body, betas, done.pose, done.translation, FPS)
        drift.append(feet.drift_m_s)
        lowest.append(feet.lowest_m.min())
        inside.append(arms_inside(body, betas, done.pose[::8]).mean())
    return {
        "standing_feet_cm_s": 100 * float(np.concatenate(drift).mean()),
        "deepest_sole_mm": -1000 * float(min(lowest)),
        "arms_inside": float(np.mean(inside)),
    }


def of_groups(body: BodyModel) -> dict[str, float]:
    """How near the people of ``GROUPS`` random groups come."""
    nearest = []
    for seed in tqdm(range(GROUPS), "groups"):
        betas = np.stack([person(3 * seed + number).betas for number in range(2 + seed % 2)])
        together = choreograph(np.random.default_rng(seed), body, betas, NUM_FRAMES, FPS)
        nearest.append(apart_m(posed_vertices(body, as_bodies(betas, together))))
    return {"least_cm": 100 * min(nearest), "median_cm": 100 * float(np.median(nearest))}


def points_on_masks(body: BodyModel, clip: Sample) -> tuple[int, int]:
    """How many visible points of the stored bodies lie in their masks or a pixel beside them, and of how many.

    A point is visible if a ray of the stored camera meets it first on its own body, and its person first of all people
    in their clothes and things.
    """
    size, num_people = clip.video.shape[1], clip.num_people
    naked = posed_vertices(body, clip.bodies)
    dressed = [dress(body, skin, person(number)) for skin, number in zip(naked, clip.meta["people"], strict=True)]
    seats = [Seat(**seat) for seat in clip.meta["seats"]]
    props = world_of(Place(clip.meta["place"]), naked, clip.cameras, seats).props
    topology = [(figure.faces, figure.vertices.shape[1]) for figure in dressed]
    everything = Meshes(*zip(*topology, *([(props.faces, len(props.vertices))] if props else []), strict=True))
    alone = Meshes([body.faces.numpy().astype(np.int32)], [body.num_vertices])
    points_of, matrices = SurfacePoints(body, NUM_POINTS), (clip.cameras.intrinsics, clip.cameras.world_to_camera)
    on, seen = 0, 0
    for who in range(num_people):
        betas = torch.as_tensor(clip.bodies.betas[who]).expand(clip.num_frames, -1)
        points = points_of(betas, *(torch.as_tensor(a[who]) for a in (clip.bodies.pose, clip.bodies.translation)))
        pixels, _ = project(points, *map(torch.as_tensor, matrices))
        for frame, eye in enumerate(eyes(clip.cameras).astype(np.float32)):
            column, row = pixels[frame].floor().long().numpy().T
            inside = (column > 0) & (column < size - 1) & (row > 0) & (row < size - 1)
            away = points[frame].numpy()[inside] - eye
            distance = np.linalg.norm(away, axis=1)
            rays = (away / distance[:, None]).astype(np.float32)
            own = Tracer(alone, naked[who, frame]).trace(eye, rays)
            own = own.of(own.distance_m > distance[own.ray] - SEEN_WITHIN_M)
            around = [figure.vertices[frame] for figure in dressed] + ([props.vertices] if props else [])
            first = Tracer(everything, np.concatenate(around)).trace(eye, rays)
            visible = np.intersect1d(own.ray, first.ray[first.person == who])
            row, column, mask = row[inside][visible], column[inside][visible], clip.masks[who, frame]
            near = [mask[row + down, column + right] for down in (-1, 0, 1) for right in (-1, 0, 1)]
            on, seen = on + int(np.any(near, axis=0).sum()), seen + len(visible)
    return on, seen


def sheet() -> Image.Image:
    """One frame of each of many clips, sets in a row."""
    pictures = []
    for name, count in SHEET.items():
        settings = ClipSettings(name, size=SHEET_PX, num_frames=NUM_FRAMES, fps=FPS)
        body = load_body(settings.recipe.body)
        for index in tqdm(range(count), f"sheet, {name}"):
            pictures.append(synthesize(body, settings, index).video[NUM_FRAMES // 2])
    rows = [np.concatenate(pictures[i : i + SHEET_COLUMNS], axis=1) for i in range(0, len(pictures), SHEET_COLUMNS)]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    """Print the figures, and write them and the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.synthetic_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/synthetic_quality"), help="folder (%(default)s)")
    out: Path = parser.parse_args().out
    body, figures = load_body("open"), {}
    print(f"{'motion':14}{'standing feet cm/s':>20}{'deepest sole mm':>17}{'arms inside':>13}")
    for name in MOTIONS:
        figures[name] = of_motion(body, name)
        drift, sole, inside = figures[name].values()
        print(f"{name:14}{drift:20.2f}{sole:17.1f}{inside:13.1%}", flush=True)
    groups = of_groups(body)
    print(f"two and three people: never nearer than {groups['least_cm']:.1f} cm, median {groups['median_cm']:.0f} cm")
    on, seen = np.sum(
        [
            points_on_masks(body, synthesize(body, ClipSettings(name, size=256, num_frames=5, fps=4.0), index))
            for name in ("train", "multi")
            for index in tqdm(range(CLIPS // 2), f"points, {name}")
        ],
        axis=0,
    )
    print(f"visible points on their masks: {on / seen:.2%} of {seen}")
    (out / "results").mkdir(parents=True, exist_ok=True)
    record = {"motions": figures, "groups": groups, "visible_points_on_masks": on / seen, "visible_points": int(seen)}
    (out / "results" / "synthetic_quality.json").write_text(json.dumps(record, indent=2) + "\n")
    sheet().save(out / "synthetic.jpg", quality=88)


if __name__ == "__main__":
    main()
