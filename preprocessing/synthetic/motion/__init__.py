"""What people do: poses and paths in time."""
