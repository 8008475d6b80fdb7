"""The whole story in one command: digital mice, an archive, maps, regions, and the truth."""
