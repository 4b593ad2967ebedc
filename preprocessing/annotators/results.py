"""Which file says who is in a video, where somebody else followed them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from preprocessing.annotators.kept_people import TrackConfig
from preprocessing.executor import Rejected
from preprocessing.executor.outcome import MachineUnfit
from preprocessing.places import lost_folder


def folder_of(config: TrackConfig) -> tuple[str, str]:
    """The folder of such files, and the setting that names it."""
    if config.annotator == "phalp":
        return config.phalp.results, "track_people.phalp.results"
    return config.npz.folder, "track_people.npz.folder"


def results_name(place: str, config: TrackConfig) -> str:
    """What the file is called; both kinds are named by what comes before the first dot of the video's."""
    name = place.rsplit("/", 1)[-1].split(".", 1)[0]
    return f"demo_{name}.pkl" if config.annotator == "phalp" else f"{name}.npz"


def results_of(place: str, config: TrackConfig) -> Path:
    """Raises ``Rejected`` if there are none, and ``MachineUnfit`` if their folder is not there any longer."""
    folder, setting = folder_of(config)
    path = Path(folder) / results_name(place, config)
    if not path.is_file():
        if lost_folder(str(path)) is not None:
            raise MachineUnfit(f"{setting}, {folder}, is not there any longer, or nothing is in it")
        made = "run 4D-Humans on the video" if config.annotator == "phalp" else "annotate the video"
        raise Rejected(f"no {path}: {made}, or give another {setting}")
    return path


def require_own_results(places: Iterable[str], config: TrackConfig) -> None:
    """Raise ``ValueError`` if two videos would share a file of results: those of one would be taken for the other's."""
    owner: dict[str, str] = {}
    for place in places:
        name = results_name(place, config)
        if (other := owner.setdefault(name, place)) != place:
            raise ValueError(f"{other} and {place} have the same results, {name}: rename one of them, and its results")
