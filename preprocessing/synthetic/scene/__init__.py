"""Where it happens, in which light, and who films it."""
