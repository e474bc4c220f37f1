"""Immutable artifacts in a folder or an S3 bucket; `store.py` is the port, `bundle.py` publishes whole folders."""
