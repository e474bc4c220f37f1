"""The ingestion engine: reads an uploaded file of examples and writes a checked, split dataset version."""
