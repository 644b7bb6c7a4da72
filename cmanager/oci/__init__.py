"""From what a person asked to an OCI runtime configuration (runtime-spec 1.0 config.md): values in, plain data out."""
