"""What two or more Fragua services share, free of any fine-tuning vocabulary."""
