"""Who is seen: bodies, what they wear, and the meshes that the renderer draws."""
