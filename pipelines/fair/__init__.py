"""A project as others can find and use it: BIDS, RO-Crate, metadata for DataCite."""
