"""From people, places and cameras to pictures, by tracing rays."""
