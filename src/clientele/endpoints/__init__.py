"""From a function's signature to a request, and from a complete response to a result."""
