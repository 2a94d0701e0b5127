"""From a response's bytes to validated items."""
