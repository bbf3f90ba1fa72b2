"""The entry modules of the guests besides `app.py`: each adapts its host to the gateway."""
