"""Stages of preparation, one a file: a pure function, and thresholds that say when it raises ``Rejected``."""
