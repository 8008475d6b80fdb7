"""Take people and places out of objects on their way."""
