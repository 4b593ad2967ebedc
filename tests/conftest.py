"""Shapes are checked by jaxtyping and beartype under pytest only: training pays nothing for them."""

import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["OMP_NUM_THREADS"] = "1"  # threads do not pay for networks this small; a sum is the same in every process

from jaxtyping import install_import_hook

install_import_hook(["models", "preprocessing", "datamodules", "pipelines"], "beartype.beartype")

import pytest
import torch

REAL_VIDEOS = Path(os.environ.get("ISA4D_TEST_VIDEOS", Path(__file__).parents[2] / "shared" / "data" / "videos"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def small_files_only() -> Callable[[], AbstractContextManager[None]]:
    """Within it no file may grow beyond 500 bytes, which fails where a full disk would.

    A context and not the whole test: pytest's own report may go to a file, and it is longer.
    """

    @contextmanager
    def limited() -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """A folder of real clips of people; tests that need it skip where it is absent."""
    if not any(REAL_VIDEOS.glob("*.mp4")):
        pytest.skip(f"no real clips in {REAL_VIDEOS}: set ISA4D_TEST_VIDEOS to a folder of mp4 files")
    return REAL_VIDEOS


def pytest_collection_finish() -> None:
    """What was imported stays: Lightning collects garbage in every fit, and need not go through a million objects."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: the last to begin on any core are short ones."""
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in slow)
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
