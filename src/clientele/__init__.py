"""Declare a typed function, call it, get validated data.

Everything a user needs is in `clientele.api`:

    from clientele import api
"""

__version__ = "0.1.0"
