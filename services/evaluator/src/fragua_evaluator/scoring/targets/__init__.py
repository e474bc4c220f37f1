"""What answers: models on this machine, endpoints, and answers that are there already."""
