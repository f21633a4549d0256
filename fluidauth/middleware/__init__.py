"""HTTP messages, of WSGI and ASGI: a session is saved before the head of its response leaves.

Public is what this module itself has.
"""

from .asgi import ASGISessionMiddleware as ASGISessionMiddleware
from .auto import SessionMiddleware as SessionMiddleware
from .wsgi import WSGISessionMiddleware as WSGISessionMiddleware
