"""The entries of the guests besides `app.py`: each turns what its host has into what the gateway has."""
