"""Finding weights in diffusers' layout: a file, the folder of a download, or a repository of the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import hf_hub_download

FILE = "diffusion_pytorch_model.safetensors"


def find_weights(source: str | Path, part: str, what: str) -> Path:
    """The file ``part/diffusion_pytorch_model.safetensors`` of a model.

    Args:
        source: that file, the folder that holds it or ``part``, or a hub id such as
            ``stabilityai/stable-diffusion-3.5-medium`` (whose licence must be accepted there first).
        part: folder inside the repository.
        what: the part in words, for messages.

    Raises:
        ValueError: if there is no such file or repository.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        for found in (path / FILE, path / part / FILE):
            if found.is_file():
                return found
        raise ValueError(f"{path} holds neither {FILE} nor {part}/{FILE}: give the file itself, or the model's folder")
    try:
        return Path(hf_hub_download(str(source), FILE, subfolder=part))
    except Exception as error:  # the hub's own errors are many: no such repository, gated, offline, no valid id
        raise ValueError(
            f"no {what} at {source}, and the hub does not give {part}/{FILE} of a repository of that name "
            f"({type(error).__name__}): download it from stabilityai/stable-diffusion-3.5-medium and give its path"
        ) from error
