"""A stack whose Postgres is its own, so that it can be killed."""

from __future__ import annotations

from dataclasses import replace

from pytest_spec11.target import Process, Target

POSTMASTER = "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1) AS pid"


def on_a_server_of_its_own(target: Target, postgres: Process) -> Target:
    """The target on an embedded server that belongs to one stack and can be killed."""
    own = "host={pg.host} port={pg.port}"
    env = {"SPEC11_DSN": f"{own} user=spec11 dbname=spec11_template"}
    passage = Process(name="passage", command=("chmod", "711", "{stack.dir}"), env=postgres.env)
    server = replace(
        postgres, name="pg", command=(*postgres.command[:-1], "--data-dir", "{stack.dir}/pg")
    )
    dsn = f"{own} user=spec11_reader dbname=spec11_template"
    return replace(
        target,
        services=(),
        database=None,
        processes=(passage, server, *(each.using(env) for each in target.processes)),
        app_dsn=dsn,
        sys_dsn=dsn,
        admin_dsn=f"{own} user=postgres dbname=spec11_template",
    )
