"""An OpenAPI document becomes a package of declared functions: `clientele generate`. `package.py` is the way in."""
