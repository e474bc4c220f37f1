"""The models that can be asked for examples."""
