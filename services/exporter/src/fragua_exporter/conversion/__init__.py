"""The conversion engine: merges a LoRA adapter into its base, writes GGUF files and proves that they are that model."""
