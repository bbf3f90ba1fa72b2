"""The host for machines without `spin`: the same core, under wasmtime, over Spin's own SQLite file."""
