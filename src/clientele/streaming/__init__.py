"""Turn a response's bytes into validated items."""
