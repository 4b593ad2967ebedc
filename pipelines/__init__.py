"""Entry points: each module here is a program, and nothing imports them. What they are made of is in the folders."""
