"""The ground floor: what every package of the suite stands on. No network, no numerics, no Qt."""
