"""Entry points: each module here is a program. Nothing imports them."""
