"""Serve kv-batch on this machine: the program behind `make up`.

It chooses the host, checks that the gateway can be served, builds the one component that the host needs, and
prints what it chose. Then it replaces itself with the host (`exec`): signals, the exit code and the terminal
belong to the host, and no other process stays behind. If the gateway cannot be served, it prints the reason
in one line.

It runs before anything is installed, so it uses the standard library alone.

Environment (make passes its own variables on):
    HOST: `spin` or `embedded`. By default Spin, if version 4.1 or later is on PATH, else the embedded host.
    LISTEN: `host:port`, with IPv6 as `[::1]:3000`. 127.0.0.1:3000 by default.
    DATA: The directory of the store. `.spin` by default, which is also Spin's own default.
    SPIN_VARIABLE_*: The variables of spin.toml, from the environment or from a file `.env`, as with Spin.
    OPEN_TO_ALL: `yes` allows anonymous access on an address that other machines can reach.

Exit codes before the host runs: 2 for an invalid setting, 1 if this machine cannot serve.
"""
