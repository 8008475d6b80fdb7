"""Logins: tokens of the server, kept in a keyring or an encrypted file."""
