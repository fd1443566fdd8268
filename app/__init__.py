"""The service: predictions with uncertainty over HTTP.

`app.main.create_app` makes the application, and `python -m app` runs it. The import of this package
does nothing.
"""

__version__ = "0.1.0"
