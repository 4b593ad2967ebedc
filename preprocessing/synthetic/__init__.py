"""Synthetic clips: bodies × motions × cameras × places, with exact ground truth."""
