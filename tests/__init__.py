"""A package of its own: some libraries install one of this name, which would hide a folder without this file."""
