"""Measures of videos, each with its definition beside it."""
