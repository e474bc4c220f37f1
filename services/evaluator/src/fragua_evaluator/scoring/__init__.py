"""The scoring engine: base and tuned model answer the same held-out questions, and honest statistics compare them."""
