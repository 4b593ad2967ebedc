"""What a setting may be: out of its range, it would refuse every clip, and only after hours."""

from __future__ import annotations

import math

Number = int | float


def require(name: str, value: Number, low: Number, high: Number = math.inf, above: bool = False) -> None:
    """Raise ``ValueError`` naming the setting unless ``low <= value <= high``; with ``above``, ``low < value``."""
    if (low < value if above else low <= value) and value <= high:  # neither holds of NaN
        return
    least = f"above {low:g}" if above else f"at least {low:g}"
    allowed = least if high == math.inf else f"{least} and at most {high:g}" if above else f"from {low:g} to {high:g}"
    raise ValueError(f"{name} is {value:g}, it must be {allowed}")
