"""One image series as a scanner reconstructed it: what readers give and writers take."""
