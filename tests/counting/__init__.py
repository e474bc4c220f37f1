"""A small service for tests of the job machinery: its jobs count, and misbehave when they are told to."""
