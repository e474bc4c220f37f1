"""The synthesis engine: examples by a language model, from seed concepts to a version."""
