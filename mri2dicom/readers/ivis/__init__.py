"""Reader of IVIS (Living Image) click folders."""
