"""What ``generate`` needs: bodies, cameras and pictures that a user names, and the networks that animate them."""
