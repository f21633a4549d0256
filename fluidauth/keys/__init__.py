"""Secrets: what is derived from them, their states, their file. No session is known here.

Only the names in this module are public.
"""

from .key import Key as Key
from .ring import Keyring as Keyring
from .strength import new_secret as new_secret
