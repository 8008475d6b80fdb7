"""One image series as a scanner reconstructed it: the contract of readers and writers."""
