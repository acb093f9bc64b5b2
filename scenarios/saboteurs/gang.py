"""All of them, by id, with what each does and the words of the reasons that it must cause."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.sql import RestlessFault, SqlSaboteur, StandingFault, Tick
from scenarios.saboteurs import (
    agents,
    deliveries,
    forgers,
    ghosts,
    handlers,
    lies,
    plants,
    scribblers,
)

REASONS: Final = Path(__file__).with_name("reasons.toml")

KINDS: Final[Mapping[str, tuple[type[Saboteur], str]]] = {
    "file.escape-write": (scribblers.EscapeWrite, "writes at the target outside of the jail"),
    "file.fixture-swap": (agents.FixtureSwap, "serves another recorded answer"),
    "file.heal-tamper": (forgers.HealTamper, "undoes tampering just before it is looked for"),
    "file.judge-swap": (forgers.JudgeSwap, "hands on an older GO in place of what the gate wrote"),
    "file.keep-created": (scribblers.KeepCreated, "creates a file again that was taken back"),
    "file.pack-edit": (scribblers.PackEdit, "changes one value in the pack of a command"),
    "file.rewrite-target": (scribblers.RewriteTarget, "rewrites a patched file, bytes unchanged"),
    "file.tamper-workspace": (scribblers.TamperWorkspace, "adds a byte to a patched file"),
    "file.torn-write": (scribblers.TornWrite, "leaves a written file torn for 20 ms"),
    "file.tree-touch": (scribblers.TreeTouch, "touches a tracked file"),
    "http.count-lie": (lies.CountLie, "changes counts, ages and latencies in ops rows"),
    "http.crash-500": (lies.Crash500, "the first of every five answers is a 500 with a traceback"),
    "http.created-as-202": (lies.CreatedAs202, "201 becomes 202"),
    "http.double-deliver": (deliveries.DoubleDeliver, "delivers each accepted POST twice"),
    "http.error-as-400": (lies.ErrorAs400, "500 becomes 400"),
    "http.extra-route": (lies.ExtraRoute, "answers 202 on a seventh operation"),
    "http.get-writes": (ghosts.GetWrites, "inserts a phantom run on each GET"),
    "http.ghost-write": (
        ghosts.GhostWrite,
        "on a refusal or a replay writes by turns one row, one equal update, one engine message",
    ),
    "http.id-swap": (lies.IdSwap, "puts another run's ids and hashes into the reply"),
    "http.key-drop": (lies.KeyDrop, "removes keys of the contract"),
    "http.missing-as-empty": (lies.MissingAsEmpty, "404 becomes 200 with [] or {}"),
    "http.noise-rows": (lies.NoiseRows, "adds a repeated and an engine's row to each list"),
    "http.oc-html": (agents.OcHtml, "the server of the agents answers with a page"),
    "http.oc-ventriloquist": (agents.OcVentriloquist, "good answers of a server that had none"),
    "http.pack-edit": (lies.PackEdit, "changes one value in a pack, export or list of patches"),
    "http.posture-lie": (lies.PostureLie, "rewrites appVersion, claimScope and modes"),
    "http.redirect-reply": (ghosts.RedirectReply, "sends a reply to another gate"),
    "http.refusal-as-ok": (lies.RefusalAsOk, "any 4xx or 5xx becomes 200 with a plausible body"),
    "http.refusal-mute": (lies.RefusalMute, "keeps the code of a refusal and drops its reasons"),
    "http.replay-flag": (lies.ReplayFlag, "flips isReplay"),
    "http.resign": (deliveries.Resign, "alters an event's body and signs it again"),
    "http.rewrite-body": (deliveries.RewriteBody, "changes payload, origin or budget on the way"),
    "http.sbx-ventriloquist": (agents.SbxVentriloquist, "another provider stands in"),
    "http.shuffle": (lies.Shuffle, "reorders equal reads and stamps them with the clock"),
    "http.slow-poll": (lies.SlowPoll, "holds each long poll to its full timeout"),
    "http.status-regress": (lies.StatusRegress, "serves an earlier status after a later one"),
    "http.swallow-post": (deliveries.SwallowPost, "answers a POST as accepted, delivers nothing"),
    "http.token-inject": (deliveries.TokenInject, "adds the operator's token to every request"),
    "http.whitewash": (lies.Whitewash, "FAIL becomes PASS, NO_GO becomes GO, reasons vanish"),
    "proc.bind-wide": (handlers.BindWide, "starts the api-shim bound to every interface, too"),
    "proc.effect-twice": (agents.EffectTwice, "each command does what it does twice"),
    "proc.env-launder": (handlers.EnvLaunder, "replaces bad values of the environment"),
    "proc.env-swap": (handlers.EnvSwap, "starts the worker with another scope"),
    "proc.fake-shell": (agents.FakeShell, "commands print nothing and exit 0"),
    "proc.limits-off": (handlers.LimitsOff, "starts workers without limits of queues"),
    "proc.no-kill": (handlers.NoKill, "swallows kills and stops, so that no fault hits"),
    "proc.no-restart": (handlers.NoRestart, "leaves a killed worker down"),
    "proc.oc-impostor": (agents.OcImpostor, "serves files on the port of the agents' server"),
    "proc.orphan": (handlers.Orphan, "leaves a child with a session in the database"),
    "proc.pause-worker": (handlers.PauseWorker, "stops the worker for longer than any bound"),
    "proc.rogue-executor": (handlers.RogueExecutor, "starts an executor under the api-shim's id"),
    "proc.version-masquerade": (handlers.VersionMasquerade, "gives others the right version"),
}

SQL: Final[Mapping[str, tuple[str, str]]] = {
    "sql.blind-view": ("hides runs that ended from the engine", plants.BLIND_VIEW),
    "sql.budget-shape": ("rewrites BUDGET rows to other numbers and keys", plants.BUDGET_SHAPE),
    "sql.content-edit": ("changes stored content under its old digest", plants.CONTENT_EDIT),
    "sql.early-end": ("ends a run with the first of its tasks that fails", plants.EARLY_END),
    "sql.eval-forge": ("loses findings, and none of the rest is bad", plants.EVAL_FORGE),
    "sql.hash-edit": ("changes one hex digit of a stored hash", plants.HASH_EDIT),
    "sql.pointer-move": ("moves the active version at a nomination", plants.POINTER_MOVE),
    "sql.queue-edit": ("changes priority and partition of engine rows", plants.QUEUE_EDIT),
    "sql.row-edit": ("changes tenant or trace of a run, or a template", plants.ROW_EDIT),
    "sql.schema-drift": ("adds a column at each login once a run has ended", plants.SCHEMA_DRIFT),
    "sql.starve-tenant": ("puts a tenant's runs last in line of another", plants.STARVE_TENANT),
    "sql.status-flip": (
        "rewrites the words canceled, and those of forked runs",
        plants.STATUS_FLIP,
    ),
    "sql.swallow-audit": ("suppresses OPS rows", plants.SWALLOW_AUDIT),
    "sql.swallow-budget": ("suppresses BUDGET rows", plants.SWALLOW_BUDGET),
    "sql.swallow-enqueue": ("suppresses starts and repairs in the engine", plants.SWALLOW_ENQUEUE),
    "sql.swallow-rollback": ("suppresses rolled_back_at", plants.SWALLOW_ROLLBACK),
    "sql.swallow-send": ("suppresses messages to waiting runs", plants.SWALLOW_SEND),
    "sql.sys-flip": ("rewrites the engine's CANCELLED to ERROR", plants.SYS_FLIP),
    "sql.time-warp": ("shifts created and applied times", plants.TIME_WARP),
    "sql.twin-event": ("adds a second prompt, decision or escalation", plants.TWIN_EVENT),
    "sql.twin-ledger": ("drops the ledger's keys, doubles each answer", plants.TWIN_LEDGER),
    "sql.twin-receipt": ("raises seen_count", plants.TWIN_RECEIPT),
    "sql.twin-run": ("drops the unique key and doubles each run row", plants.TWIN_RUN),
    "sql.twin-step": ("drops keys; doubles steps, artifacts, tasks, marks", plants.TWIN_STEP),
    "sql.version-edit": ("rewrites application_version of what ended", plants.VERSION_EDIT),
}
STANDING: Final[Mapping[str, tuple[str, str]]] = {
    "sql.drop-keys": ("drops named keys, checks and the guard trigger", plants.DROP_KEYS),
    "sql.plant-undeclared": ("plants a failed run that nobody declared", plants.PLANT_UNDECLARED),
    "sql.seed-edit": ("changes a seeded recipe under its hash", plants.SEED_EDIT),
    "sql.slot-hog": ("fills intentQ's slots with rows of nobody", plants.SLOT_HOG),
    "sql.thaw-stable": ("drops a guard and edits a stable version", plants.THAW_STABLE),
}
RESTLESS: Final[Mapping[str, tuple[str, str, Tick]]] = {
    "sql.late-gate": (
        "lets gate rows appear 2 s after the status",
        plants.LATE_GATE,
        Tick(plants.LATE_GATE_TICK, 0.1),
    ),
    "sql.query-storm": ("500 queries a second", "", Tick("SELECT {hit}", 0.002)),
    "sql.row-loss": (
        "deletes rows of tasks, and of calls that failed",
        plants.CALL_LOSS,
        Tick(plants.ROW_LOSS, 0.5),
    ),
}


def gang() -> list[Saboteur]:
    """Each ready to be armed."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    of = reasons.get
    return [
        *(kind(id_, does, of(id_)) for id_, (kind, does) in KINDS.items()),
        *(
            forgers.Spoiler(id_, does, tamper, of(id_))
            for id_, (does, tamper) in forgers.SPOILERS.items()
        ),
        *(SqlSaboteur(id_, does, script, of(id_)) for id_, (does, script) in SQL.items()),
        *(StandingFault(id_, does, script, of(id_)) for id_, (does, script) in STANDING.items()),
        *(
            RestlessFault(id_, does, script, tick, of(id_))
            for id_, (does, script, tick) in RESTLESS.items()
        ),
    ]
