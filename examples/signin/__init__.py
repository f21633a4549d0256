"""One real sign-in, on Flask, Django and FastAPI: a password, a second factor and what belongs to it."""
