"""Who may import whom. Data moves left to right: preprocessing → datamodules → models → pipelines, and never back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "preprocessing", "datamodules", "pipelines")
SHARED_MODELS = ("models.geometry", "models.timeline", "models.body", "models.files.array_pickle")
ALLOWED = {
    "models": ("models",),
    "preprocessing": ("preprocessing", *SHARED_MODELS),
    "datamodules": (
        "datamodules",
        "preprocessing.sample",
        "preprocessing.sample_files",
        "preprocessing.video",
        "models.batch",
        "models.files.checkpoint",  # latents name their autoencoder by its checkpoint
        *SHARED_MODELS,
    ),
    "pipelines": PACKAGES,
}
"""Package → prefixes of our own modules that it may import."""
CLOSED = {
    "preprocessing/annotators": ("preprocessing.stages", "preprocessing.synthetic"),
    "preprocessing/body_fitting": ("preprocessing.stages", "preprocessing.synthetic"),
    "preprocessing/executor": ("preprocessing.annotators", "preprocessing.stages", "preprocessing.synthetic"),
    "preprocessing/rendering": ("preprocessing.annotators", "preprocessing.stages", "preprocessing.synthetic"),
    "preprocessing/stages": ("preprocessing.synthetic",),
    "models/files": ("models.body", "models.isa_dit", "models.vae"),
}
"""Folder → what it must not import of its own package: stages use annotators, never the other way."""
ONLY_IN = {
    "decord": ("preprocessing/video.py",),
    "av": ("preprocessing/video.py", "preprocessing/opening.py", "preprocessing/timing.py"),
    "ray": ("preprocessing/executor/ray_actors.py", "preprocessing/executor/gpu_desk.py"),
    "sam2": ("preprocessing/annotators/sam2_masks.py",),
    "mediapipe": ("preprocessing/annotators/mediapipe_pose.py",),
    "smplx": ("models/body/",),
    "anny": ("models/body/",),
    "lightning": ("models/*/module.py", "datamodules/", "pipelines/"),
    "mlflow": ("pipelines/",),
    "deepspeed": ("pipelines/strategies/",),
}
"""Third party → the only files that may import it."""

FILES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(source: str) -> set[str]:
    """Dotted names of all that a source imports, also inside functions; ``from a import b`` counts as ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead: write the whole path"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(path: Path, source: str) -> list[str]:
    """The imports of a file that the ladder forbids."""
    names = imported(source)
    ours = [n for n in names if within(n, PACKAGES) and not within(n, ALLOWED[path.parts[0]])]
    places = {n: ONLY_IN[n.split(".")[0]] for n in names if n.split(".")[0] in ONLY_IN}
    closed = next((prefixes for folder, prefixes in CLOSED.items() if path.is_relative_to(folder)), ())
    ours += [n for n in names if within(n, closed)]
    foreign = [n for n, allowed in places.items() if not any(in_place(path, place) for place in allowed)]
    return sorted(ours + foreign)


def in_place(path: Path, place: str) -> bool:
    return path.as_posix().startswith(place) if place.endswith("/") else path.match(place)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports(path):
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("models/flow.py", "import preprocessing.sample", ["preprocessing.sample"]),
        (
            "models/flow.py",
            "from models import batch\nfrom lightning import LightningModule",
            ["lightning.LightningModule"],
        ),
        ("models/vae/module.py", "import lightning as L", []),
        ("preprocessing/sample.py", "from models.batch import ClipBatch", ["models.batch.ClipBatch"]),
        ("preprocessing/stages/filter_clips.py", "def f():\n    import decord", ["decord"]),
        ("preprocessing/video.py", "import av, decord", []),
        (
            "preprocessing/annotators/pose.py",
            "from preprocessing.stages import limits",
            ["preprocessing.stages.limits"],
        ),
        ("datamodules/clips.py", "from models.vae.module import load_vae", ["models.vae.module.load_vae"]),
        ("datamodules/clips.py", "from pipelines.common.cli import run", ["pipelines.common.cli.run"]),
        ("models/body/smpl.py", "import smplx\nfrom anny import create", []),
        ("models/geometry.py", "import smplx", ["smplx"]),
        ("pipelines/report.py", "from datamodules.clips import to_frames", []),
    ],
)
def test_the_ladder_itself_catches_what_it_should(path, source, found):
    assert violations(Path(path), source) == found
