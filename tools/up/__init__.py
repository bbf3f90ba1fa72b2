"""Serve kv-batch on this machine: what `make up` does.

It decides which host serves, refuses with one line what cannot work, builds the one component that the host
needs, says what it decided, and then becomes the host (`exec`): signals, the exit code and the terminal are
the host's own, and no process is left behind it.

It runs before anything is installed, so it uses the standard library alone.

Environment (make passes its own variables on):
    HOST: `spin` or `embedded`. Unless given, Spin where 4.1 or later is on PATH, else the embedded host.
    LISTEN: `host:port`, IPv6 as `[::1]:3000`. 127.0.0.1:3000 unless given.
    DATA: The directory of the store. `.spin` unless given, which is where Spin itself keeps it.
    SPIN_VARIABLE_*: The variables of spin.toml, from the environment or from a file `.env`, as with Spin.
    OPEN_TO_ALL: `yes` allows anonymous access on an address that other machines can reach.

Exit codes before the host runs: 2 for a setting that makes no sense, 1 for a machine that cannot do it.
"""
