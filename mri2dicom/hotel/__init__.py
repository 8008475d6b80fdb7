"""Several animals on one bed ("hotel"): cut PET and CT into one study for each animal."""
