"""Read a folder: its files, their headers, its sessions, and what its levels say."""
