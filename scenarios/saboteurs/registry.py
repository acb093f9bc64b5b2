"""All of them, by id, with what each does and the words of the reasons that it must cause."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.sql import RestlessFault, SqlSaboteur, StandingFault, Tick
from scenarios.saboteurs import (
    agent_faults,
    board_faults,
    false_replies,
    file_edits,
    phantom_writes,
    process_faults,
    release_forgery,
    request_faults,
    sql_triggers,
)

REASONS: Final = Path(__file__).with_name("reasons.toml")

KINDS: Final[Mapping[str, tuple[type[Saboteur], str]]] = {
    "file.escape-write": (file_edits.EscapeWrite, "writes at the target outside of the jail"),
    "file.fixture-swap": (agent_faults.FixtureSwap, "serves another recorded answer"),
    "file.heal-tamper": (
        release_forgery.HealTamper,
        "undoes tampering just before it is looked for",
    ),
    "file.judge-swap": (
        release_forgery.JudgeSwap,
        "hands on an older GO in place of what the gate wrote",
    ),
    "file.keep-created": (file_edits.KeepCreated, "creates a file again that was taken back"),
    "file.pack-edit": (file_edits.PackEdit, "changes one value in the pack of a command"),
    "file.rewrite-target": (file_edits.RewriteTarget, "rewrites a patched file, bytes unchanged"),
    "file.tamper-workspace": (file_edits.TamperWorkspace, "adds a byte to a patched file"),
    "file.torn-write": (file_edits.TornWrite, "leaves a written file torn for 20 ms"),
    "file.tree-touch": (file_edits.TreeTouch, "touches a tracked file"),
    "http.board-inject": (
        board_faults.BoardInject,
        "puts a script and a raw copy of the hostile text into the page",
    ),
    "http.board-lie": (board_faults.BoardLie, "changes words, hashes and reasons of a page"),
    "http.board-mute": (board_faults.BoardMute, "a page that refuses is 200 and says nothing"),
    "http.count-lie": (false_replies.CountLie, "changes counts, ages and latencies in ops rows"),
    "http.crash-500": (
        false_replies.Crash500,
        "the first of every five answers is a 500 with a traceback",
    ),
    "http.created-as-202": (false_replies.CreatedAs202, "201 becomes 202"),
    "http.double-deliver": (request_faults.DoubleDeliver, "delivers each accepted POST twice"),
    "http.error-as-400": (false_replies.ErrorAs400, "500 becomes 400"),
    "http.extra-route": (false_replies.ExtraRoute, "answers 202 on a seventh operation"),
    "http.get-writes": (phantom_writes.GetWrites, "inserts a phantom run on each GET"),
    "http.ghost-write": (
        phantom_writes.GhostWrite,
        "on a refusal or a replay writes by turns one row, one equal update, one engine message",
    ),
    "http.id-swap": (false_replies.IdSwap, "puts another run's ids and hashes into the reply"),
    "http.key-drop": (false_replies.KeyDrop, "removes keys of the contract"),
    "http.leak-canary": (board_faults.LeakCanary, "puts the credential into the answer"),
    "http.missing-as-empty": (false_replies.MissingAsEmpty, "404 becomes 200 with [] or {}"),
    "http.noise-rows": (
        false_replies.NoiseRows,
        "adds a repeated and an engine's row to each list",
    ),
    "http.oc-html": (agent_faults.OcHtml, "the server of the agents answers with a page"),
    "http.oc-ventriloquist": (
        agent_faults.OcVentriloquist,
        "good answers of a server that had none",
    ),
    "http.pack-edit": (
        false_replies.PackEdit,
        "changes one value in a pack, export or list of patches",
    ),
    "http.posture-lie": (false_replies.PostureLie, "rewrites appVersion, claimScope and modes"),
    "http.redirect-reply": (phantom_writes.RedirectReply, "sends a reply to another gate"),
    "http.refusal-as-ok": (
        false_replies.RefusalAsOk,
        "any 4xx or 5xx becomes 200 with a plausible body",
    ),
    "http.refusal-mute": (
        false_replies.RefusalMute,
        "keeps the code of a refusal and drops its reasons",
    ),
    "http.replay-flag": (false_replies.ReplayFlag, "flips isReplay"),
    "http.resign": (request_faults.Resign, "alters an event's body and signs it again"),
    "http.rewrite-body": (
        request_faults.RewriteBody,
        "changes payload, origin or budget on the way",
    ),
    "http.sbx-ventriloquist": (agent_faults.SbxVentriloquist, "another provider stands in"),
    "http.shuffle": (false_replies.Shuffle, "reorders equal reads and stamps them with the clock"),
    "http.slow-poll": (false_replies.SlowPoll, "holds each long poll to its full timeout"),
    "http.status-regress": (
        false_replies.StatusRegress,
        "serves an earlier status after a later one",
    ),
    "http.swallow-post": (
        request_faults.SwallowPost,
        "answers a POST as accepted, delivers nothing",
    ),
    "http.token-inject": (request_faults.TokenInject, "adds the operator's token to every request"),
    "http.whitewash": (
        false_replies.Whitewash,
        "FAIL becomes PASS, NO_GO becomes GO, reasons vanish",
    ),
    "proc.bind-wide": (
        process_faults.BindWide,
        "starts the api-shim bound to every interface, too",
    ),
    "proc.effect-twice": (agent_faults.EffectTwice, "each command does what it does twice"),
    "proc.env-launder": (process_faults.EnvLaunder, "replaces bad values of the environment"),
    "proc.env-swap": (process_faults.EnvSwap, "starts the worker with another scope"),
    "proc.fake-shell": (agent_faults.FakeShell, "commands print nothing and exit 0"),
    "proc.limits-off": (process_faults.LimitsOff, "starts workers without limits of queues"),
    "proc.no-kill": (process_faults.NoKill, "swallows kills and stops, so that no fault hits"),
    "proc.no-restart": (process_faults.NoRestart, "leaves a killed worker down"),
    "proc.oc-impostor": (agent_faults.OcImpostor, "serves files on the port of the agents' server"),
    "proc.orphan": (process_faults.Orphan, "leaves a child with a session in the database"),
    "proc.pause-worker": (process_faults.PauseWorker, "stops the worker for longer than any bound"),
    "proc.rogue-executor": (
        process_faults.RogueExecutor,
        "starts an executor under the api-shim's id",
    ),
    "proc.version-masquerade": (process_faults.VersionMasquerade, "gives others the right version"),
}

SQL: Final[Mapping[str, tuple[str, str]]] = {
    "sql.blind-view": ("hides runs that ended from the engine", sql_triggers.BLIND_VIEW),
    "sql.budget-shape": (
        "rewrites BUDGET rows to other numbers and keys",
        sql_triggers.BUDGET_SHAPE,
    ),
    "sql.content-edit": ("changes stored content under its old digest", sql_triggers.CONTENT_EDIT),
    "sql.early-end": ("ends a run with the first of its tasks that fails", sql_triggers.EARLY_END),
    "sql.eval-forge": ("loses findings, and none of the rest is bad", sql_triggers.EVAL_FORGE),
    "sql.hash-edit": ("changes one hex digit of a stored hash", sql_triggers.HASH_EDIT),
    "sql.pointer-move": ("moves the active version at a nomination", sql_triggers.POINTER_MOVE),
    "sql.queue-edit": ("changes priority and partition of engine rows", sql_triggers.QUEUE_EDIT),
    "sql.row-edit": ("changes tenant or trace of a run, or a template", sql_triggers.ROW_EDIT),
    "sql.schema-drift": (
        "adds a column at each login once a run has ended",
        sql_triggers.SCHEMA_DRIFT,
    ),
    "sql.starve-tenant": (
        "puts a tenant's runs last in line of another",
        sql_triggers.STARVE_TENANT,
    ),
    "sql.status-flip": (
        "rewrites the words canceled, and those of forked runs",
        sql_triggers.STATUS_FLIP,
    ),
    "sql.swallow-audit": ("suppresses OPS rows", sql_triggers.SWALLOW_AUDIT),
    "sql.swallow-budget": ("suppresses BUDGET rows", sql_triggers.SWALLOW_BUDGET),
    "sql.swallow-enqueue": (
        "suppresses starts and repairs in the engine",
        sql_triggers.SWALLOW_ENQUEUE,
    ),
    "sql.swallow-rollback": ("suppresses rolled_back_at", sql_triggers.SWALLOW_ROLLBACK),
    "sql.swallow-send": ("suppresses messages to waiting runs", sql_triggers.SWALLOW_SEND),
    "sql.sys-flip": ("rewrites the engine's CANCELLED to ERROR", sql_triggers.SYS_FLIP),
    "sql.time-warp": ("shifts created and applied times", sql_triggers.TIME_WARP),
    "sql.twin-event": ("adds a second prompt, decision or escalation", sql_triggers.TWIN_EVENT),
    "sql.twin-ledger": ("drops the ledger's keys, doubles each answer", sql_triggers.TWIN_LEDGER),
    "sql.twin-receipt": ("raises seen_count", sql_triggers.TWIN_RECEIPT),
    "sql.twin-run": ("drops the unique key and doubles each run row", sql_triggers.TWIN_RUN),
    "sql.twin-step": ("drops keys; doubles steps, artifacts, tasks, marks", sql_triggers.TWIN_STEP),
    "sql.version-edit": ("rewrites application_version of what ended", sql_triggers.VERSION_EDIT),
}
STANDING: Final[Mapping[str, tuple[str, str]]] = {
    "sql.drop-keys": ("drops named keys, checks and the guard trigger", sql_triggers.DROP_KEYS),
    "sql.plant-undeclared": (
        "plants a failed run that nobody declared",
        sql_triggers.PLANT_UNDECLARED,
    ),
    "sql.seed-edit": ("changes a seeded recipe under its hash", sql_triggers.SEED_EDIT),
    "sql.slot-hog": ("fills intentQ's slots with rows of nobody", sql_triggers.SLOT_HOG),
    "sql.thaw-stable": ("drops a guard and edits a stable version", sql_triggers.THAW_STABLE),
}
RESTLESS: Final[Mapping[str, tuple[str, str, Tick]]] = {
    "sql.late-gate": (
        "lets gate rows appear 2 s after the status",
        sql_triggers.LATE_GATE,
        Tick(sql_triggers.LATE_GATE_TICK, 0.1),
    ),
    "sql.query-storm": ("500 queries a second", "", Tick("SELECT {hit}", 0.002)),
    "sql.row-loss": (
        "deletes rows of tasks, and of calls that failed",
        sql_triggers.CALL_LOSS,
        Tick(sql_triggers.ROW_LOSS, 0.5),
    ),
}


def list_saboteurs() -> list[Saboteur]:
    """Each ready to be armed."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    of = reasons.get
    return [
        *(kind(id_, does, of(id_)) for id_, (kind, does) in KINDS.items()),
        *(
            release_forgery.Spoiler(id_, does, tamper, of(id_))
            for id_, (does, tamper) in release_forgery.SPOILERS.items()
        ),
        *(
            SqlSaboteur(id_, does, script, of(id_), needs="app")
            for id_, (does, script) in SQL.items()
        ),
        *(
            StandingFault(id_, does, script, of(id_), needs="app")
            for id_, (does, script) in STANDING.items()
        ),
        *(
            RestlessFault(id_, does, script, tick, of(id_), needs="app")
            for id_, (does, script, tick) in RESTLESS.items()
        ),
    ]
