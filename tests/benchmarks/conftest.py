"""Small data of the benchmarks of the ISA-DiT."""

from pathlib import Path

import pytest

from benchmarks.ablate_dit_data import CLIP_FRAMES, FOLDERS, SIZE, Data
from tests.shard_factory import make_sample, write_shards


@pytest.fixture(scope="session")
def dit_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips in the place of each set; they pass for what one step of the autoencoder belongs to."""
    work = tmp_path_factory.mktemp("dit") / "work"
    for place, (name, (_, split, _)) in enumerate(FOLDERS.items()):
        people = 2 if "multi" in name else 1
        clips = [make_sample(2 * place + i, CLIP_FRAMES, (SIZE, SIZE), people) for i in range(2)]
        write_shards(work / "shards" / name, [(split, clip) for clip in clips])
    (work / "recipe").write_text(Data(work, vae_steps=1).recipe())
    return work
