"""From pixels to latents by frozen networks: for a cache of latents, and for fits that read pixels."""
