"""Lightning callbacks: what a fit shows while it runs."""
