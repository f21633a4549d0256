"""HTTP messages, of WSGI and ASGI: a session is saved before the head of its response leaves.

Only the names in this module are public.
"""

from .asgi import ASGISessionMiddleware as ASGISessionMiddleware
from .auto import SessionMiddleware as SessionMiddleware
from .wsgi import WSGISessionMiddleware as WSGISessionMiddleware
