"""Models of the signal and their estimators: arrays in, arrays out; no file and no network."""
