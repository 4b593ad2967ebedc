"""Bodies as meshes, and rays that meet them: for pictures of bodies, and for synthetic clips."""
