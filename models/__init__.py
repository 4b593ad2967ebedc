"""Networks and the mathematics they share. Imports nothing else of this project."""
