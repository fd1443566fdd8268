"""The service: predictions with uncertainty over HTTP.

`app.main.create_app` joins the parts, `python -m app` runs them; importing this package does
nothing.
"""

__version__ = "0.1.0"
