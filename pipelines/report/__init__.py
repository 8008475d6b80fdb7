"""The page a person looks at before believing a number."""
