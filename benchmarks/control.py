"""How far a network that was fitted for an hour heeds each condition (``pipelines/control.py`` says what is taken).

    python -m benchmarks.control            # goes on where it was stopped

Data are those of ``benchmarks/ablate_dit.py``, made if they are not there: synthetic clips of people and places that
the network never saw, of the sets ``video``, ``camera``, ``mask`` and ``multi``. Written under ``--out``:
``results/control.json``, ``control.png``, and a run of the MLflow experiment ``control``.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from benchmarks.ablate_dit_cell import CONFIG, GUIDANCE, SAMPLING_STEPS, options_of
from benchmarks.ablate_dit_data import JUDGED, Data, make
from benchmarks.cells import fingerprint
from models.isa_dit.load import read_dit
from pipelines import fit_dit
from pipelines.control import control


def fitted(data: Data, steps: int, background_dropout: float) -> Path:
    """The checkpoint of such a fit; one that was stopped goes on."""
    setting = fingerprint(data.recipe(), options_of(None), steps, background_dropout)
    folder = data.work / f"control_{setting}"
    checkpoint = folder / "last.ckpt"
    done = read_dit(checkpoint)["global_step"] if checkpoint.exists() else 0
    if done < steps:
        fit_dit.main(
            ["fit", f"--config={CONFIG}", f"--data.latents={data.latents('exact')}", f"--data.vae={data.vae}",
             f"--trainer.max_steps={steps}", f"--trainer.val_check_interval={min(500, steps)}",
             "--samples.every_n_steps=1000", f"--model.dropout.background={background_dropout}",
             f"--checkpoint.dirpath={folder}", *([f"--ckpt_path={checkpoint}"] if done else [])]
        )  # fmt: skip
    return checkpoint


def main(args: list[str] | None = None) -> None:
    """Make, fit and measure what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="of the fit (%(default)s)")
    parser.add_argument(
        "--background-dropout", type=float, default=0.5, help="share of clips that hide their background (%(default)s)"
    )
    parser.add_argument("--vae-steps", type=int, default=1200, help="of the autoencoder (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="that make the clips (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/dit_ablation"), help="clips and latents (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder (%(default)s)")
    given = parser.parse_args(args)
    data = make(given.work, given.vae_steps, max(1, given.workers))
    found = given.work / "control"
    checkpoint = fitted(data, given.steps, given.background_dropout)
    control(
        str(data.latents("exact")), [str(data.shards(name)) for name in JUDGED], str(found), vae=str(data.vae),
        checkpoint=str(checkpoint), steps=SAMPLING_STEPS, guidance=GUIDANCE,
    )  # fmt: skip
    (given.out / "results").mkdir(parents=True, exist_ok=True)
    shutil.copy(found / "control.json", given.out / "results" / "control.json")
    shutil.copy(found / "control.png", given.out / "control.png")


if __name__ == "__main__":
    main()
