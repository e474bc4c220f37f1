"""The conversion engine: writes a version's rows in the formats of other programs."""
