"""Web pages for people: server-rendered, without scripts, each says that it is the sandbox."""
