"""Make a set of synthetic clips with exact bodies, cameras, masks and backgrounds, in the shards real clips come in.

    python -m pipelines.synthesize --set train --out data/synthetic --count 1000 --size 64 --workers 4

The sets:
{sets}

Written to ``--out``: ``{split}-000000.tar …``, ``preview.html``, ``rejected.jsonl`` (clips that one of the user's own
files could not give) and, last of all, ``manifest.parquet``. The same
command writes the same bytes, whatever the number of workers.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.body import load_body
from preprocessing.executor import run
from preprocessing.manifest import SPLITS, Reject, read_job, write_manifest, write_rejects
from preprocessing.preview import draw_sheet
from preprocessing.preview_page import Card, write_preview
from preprocessing.stages.write_shards import PackedClip, ShardConfig, ShardSet, discard_unfinished, pack_clip
from preprocessing.summary import SYNTHETIC, summarise
from preprocessing.synthetic.clip import ANNOTATOR, ClipSettings, synthesize
from preprocessing.synthetic.own import NONE, OWN_FILES, Own, find_assets
from preprocessing.synthetic.sets import SETS

PREVIEW_CLIPS = 24
_OWN = "your own files"
"""What the closing table calls them: a line a recording would be as long as the library."""
MAX_SHARD_BYTES = 1e9


@dataclass(frozen=True)
class MadeClip:
    """A clip ready to be written and, if it is among the first, how it looks."""

    packed: PackedClip
    motion: str
    scores: dict[str, float]
    sheet: bytes | None


class ClipMaker:
    """Makes the clips of a set by split and number. Each worker has one, and so loads the body once."""

    def __init__(self, settings: ClipSettings, splits: tuple[str, ...], own: Own) -> None:
        self.body = load_body(own.body or settings.recipe.body)
        self.of_split = {split: replace(settings, split=split) for split in splits}
        self.assets = {split: find_assets(own, self.body, split) for split in splits}

    def __call__(self, clip: tuple[str, int]) -> MadeClip:
        """The clip, encoded."""
        split, index = clip
        sample = synthesize(self.body, self.of_split[split], index, self.assets[split])
        sheet = draw_sheet(sample, self.body) if index < PREVIEW_CLIPS else None
        motion = _OWN if self.assets[split].motions else sample.meta["motions"][0]
        return MadeClip(pack_clip(sample, split), motion, sample.meta["scores"], sheet)


def make_set(
    out: Path,
    settings: ClipSettings,
    count: int,
    workers: int,
    clips_per_shard: int = 500,
    own: Own = NONE,
    val: int = 0,
) -> str:
    """Write clips ``0 … count-1`` of a set, then ``val`` clips of its val split; gives lines that say what came of it.

    A clip that one of the user's own files (``own``) cannot give is left out, with the reason in ``rejected.jsonl``.

    Raises:
        ValueError: if ``count`` or ``clips_per_shard`` is not positive, ``val`` is negative or beside a val split,
            ``out`` holds other shards, ``own`` does not fit the set or has nothing for it, or no clip could be made.
        RuntimeError: if a clip cannot be made for any other reason: this is a defect.
    """
    for name, value in (("count", count), ("clips_per_shard", clips_per_shard)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if val < 0 or (val and settings.split == "val"):
        raise ValueError(f"val is the number of clips of val beside those of {settings.split}, not {val}")
    own.check(settings.recipe)
    job = f"{ANNOTATOR}:{settings.name}:{own.fingerprint()}:{count}:{clips_per_shard}{f':val{val}' if val else ''}"
    if (done := read_job(out)) is not None:
        if done != job:
            raise ValueError(f"{out} holds shards made by another command: delete it or choose another --out")
        return f"{out} is complete already"
    body = load_body(own.body or settings.recipe.body)  # one that was never built is built here, and once
    settings.check_body(body)
    splits = (settings.split, "val") if val else (settings.split,)
    for split in splits:
        find_assets(own, body, split)
    out.mkdir(parents=True, exist_ok=True)
    if discarded := discard_unfinished(out):
        print(f"{out} holds {len(discarded)} files of a run that did not finish: made anew", file=sys.stderr)

    cards: list[Card] = []
    rejects: list[Reject] = []
    scores: list[tuple[str, dict[str, float]]] = []
    clips = [(split, index) for split, number in zip(splits, (count, val), strict=False) for index in range(number)]
    with ShardSet(out, ShardConfig(clips_per_shard, MAX_SHARD_BYTES)) as shards:
        for outcome in run(partial(ClipMaker, settings, splits, own), clips, workers, "synthesize", "clip"):
            name = f"clip {outcome.item[1]} of {outcome.item[0]}"
            if outcome.result is None:
                failure = outcome.failure
                if failure is None or failure.stage != OWN_FILES:
                    raise RuntimeError(f"{name}: {failure}")
                rejects.append(Reject(_OWN, failure.stage, f"{name}: {failure.reason}"))
                continue
            shards.write(outcome.result.packed)
            scores.append((outcome.result.motion, outcome.result.scores))
            if outcome.result.sheet:
                cards.append(Card(shards.rows[-1], outcome.result.scores, outcome.result.sheet))
        if not shards.rows:
            raise ValueError(f"none of the {len(clips)} clips could be made. {rejects[0].reason}")
    write_rejects(out, rejects)
    write_preview(out, cards, rejects, len(shards.rows))
    write_manifest(out, shards.rows, job)
    made = f"{len(shards.rows)} clips in {len({row.shard for row in shards.rows})} shards, {len(rejects)} rejects"
    return f"{summarise(scores, rejects, SYNTHETIC)}\n{out}: {made} (see preview.html)"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    sets = "\n".join(f"    {name:8}{recipe.about} ({recipe.split})" for name, recipe in SETS.items())
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.synthesize",
        description=(__doc__ or "").replace("{sets}", sets),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = parser.add_argument, ClipSettings()
    add("--set", choices=SETS, default=default.set, help="the named set to make (%(default)s)")
    add("--split", choices=SPLITS, help="by default the set's own, in brackets above; splits share nobody and nowhere")
    add("--out", type=Path, required=True, help="folder for shards, manifest and preview")
    add("--count", type=int, required=True, help="number of clips")
    add("--val", type=int, default=0, help="clips of val beside them, which every fit needs (%(default)s)")
    add("--size", type=int, default=default.size, help="side of the square clips, pixels (%(default)s)")
    add("--num_frames", type=int, default=default.num_frames, help="1 plus a multiple of 4 (%(default)s)")
    add("--fps", type=float, default=default.fps, help="frames a second (%(default)s)")
    add("--seed", type=int, default=default.seed, help="sets of two seeds share no person, motion or place")
    add("--geometry", action="store_true", help="store depth, normals and part numbers as well")
    add("--body", default="", help="an SMPL or SMPL-X file; by default the open body or head that fits the set")
    add("--motions", default="", help="recorded motions: a folder of AMASS or CMU .npz files, or of shards")
    add("--panoramas", default="", help="surroundings: a folder of equirectangular .hdr, .exr, .png or .jpg")
    add("--textures", default="", help="clothes: a folder of SMPL texture atlases")
    add("--uv_template", default="", help="the .obj that comes with them, if the body file has no texture coordinates")
    add("--licence", default="", help="of clips made with files of yours (without any, clips are CC0)")
    add("--workers", type=int, default=1, help="processes, each computing with one thread")
    add("--clips_per_shard", type=int, default=500, help="the most clips in one tar (%(default)s)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> str:
    """Run the command line. Raises ``ValueError`` as ``make_set`` and ``ClipSettings`` do."""
    given = parse(arguments)
    settings = ClipSettings(
        given.set, given.split or "", given.size, given.num_frames, given.fps, given.seed, given.geometry
    )
    own = Own(given.motions, given.panoramas, given.textures, given.uv_template, given.body, given.licence)
    return make_set(given.out, settings, given.count, given.workers, given.clips_per_shard, own, given.val)


if __name__ == "__main__":
    try:
        print(main())
    except ValueError as error:
        print(f"synthesize: error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        again = "make room or choose another --out, then give the same command again"
        print(f"synthesize: error: cannot write: {error}: {again}", file=sys.stderr)
        sys.exit(1)
