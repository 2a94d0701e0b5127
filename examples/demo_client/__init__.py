# Made by `clientele generate` from examples.server:app (FastAPI 0.1.0).
# Changes to this file are lost; put yours into a file of another name.

"""A client of FastAPI.

Its functions are called so:

    from demo_client.client import events

    result = await events(...)
"""
