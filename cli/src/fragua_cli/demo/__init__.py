"""`fragua demo`: the whole chain on the bundled data, with proof at the end that the tuned model is better."""
