"""The one table of routes: it serves them and it documents them, so the two cannot differ."""

from __future__ import annotations

from typing import Final

from engine.api import (
    demos,
    events,
    gates,
    inbox,
    openapi,
    ops,
    patches,
    recipes,
    runs,
    signoff,
    steps,
    workflows,
)
from engine.api.routing import Operation
from engine.contracts.demos import DemoAccepted, DemoQuery, Marks
from engine.contracts.gates import (
    ExternalEvent,
    GateQuery,
    GateReply,
    GateView,
    InteractionsQuery,
    InteractionView,
    ReplyAccepted,
)
from engine.contracts.health import Health
from engine.contracts.inbox import InboxQuery, InboxRow
from engine.contracts.ops import (
    Accepted,
    Action,
    ForkAccepted,
    ForkAction,
    RepairAccepted,
    WorkflowDetail,
    WorkflowsQuery,
    WorkflowStep,
    WorkflowSummary,
)
from engine.contracts.patches import PatchView
from engine.contracts.queues import DepthQuery, DepthRow
from engine.contracts.recipes import RecipeRow, RecipeVersionRow
from engine.contracts.runs import CompatRunRequest, RunHeader, RunStarted, RunStartRequest
from engine.contracts.signoff import SignoffBoard
from engine.contracts.steps import StepView
from engine.core.doors import EVERYBODY, SENDERS

NDJSON: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/run",
        handler=runs.start,
        point="start",
        summary="Start the run of a form: 201 the first time, 200 after",
        body=RunStartRequest,
        replies={201: RunStarted, 200: RunStarted},
    ),
    Operation(
        method="POST",
        path="/api/runs",
        handler=runs.start_stored,
        point="stored",
        summary="Start the run of a stored intent, under the same law",
        body=CompatRunRequest,
        replies={201: RunStarted, 200: RunStarted},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}",
        handler=runs.header,
        summary="Where a run stands; wid is a workflow id or a run id",
        replies={200: RunHeader},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/steps",
        handler=steps.listed,
        summary="The newest attempt of each of the run's steps",
        replies={200: list[StepView]},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/steps/{stepId}/patches",
        handler=patches.listed,
        summary="What a step wrote to files: the newest entry of each patch, by index",
        replies={200: list[PatchView]},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/gates",
        handler=gates.listed,
        summary="The run's gates in the order of their creation",
        replies={200: list[GateView]},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/gates/{gateKey}",
        handler=gates.one,
        summary="One gate, as soon as it leaves PENDING or timeoutS is over",
        query=GateQuery,
        replies={200: GateView},
    ),
    Operation(
        method="POST",
        path="/api/runs/{wid}/gates/{gateKey}/reply",
        handler=gates.reply,
        point="reply",
        summary="Answer a gate: one accepted answer, its exact repeat for ever",
        body=GateReply,
        replies={200: ReplyAccepted},
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/interactions",
        handler=gates.interactions,
        summary="The run's accepted answers, oldest first",
        query=InteractionsQuery,
        replies={200: list[InteractionView]},
    ),
    Operation(
        method="GET",
        path="/api/hitl/inbox",
        handler=inbox.listed,
        summary="Every gate that waits for a person, the most urgent first",
        query=InboxQuery,
        replies={200: list[InboxRow]},
    ),
    Operation(
        method="POST",
        path="/api/events/hitl",
        handler=events.accept,
        summary="Answer a gate from outside: a reply by another door",
        body=ExternalEvent,
        replies={200: ReplyAccepted},
        roles=SENDERS,
        signed=True,
        point="event",
    ),
    Operation(
        method="GET",
        path="/api/runs/{wid}/stream/status",
        handler=runs.status_stream,
        summary="The run's status words as they come, one JSON value a line",
        replies={200: NDJSON},
    ),
    Operation(
        method="GET",
        path="/api/artifacts/{uri:path}",
        handler=steps.content,
        summary="The bytes whose sha256 is the artifact's",
        replies={200: BYTES},
    ),
    Operation(
        method="GET",
        path="/api/recipes",
        handler=recipes.listed,
        summary="Each recipe at its newest version",
        replies={200: list[RecipeRow]},
    ),
    Operation(
        method="GET",
        path="/api/recipes/{id}/versions",
        handler=recipes.versions,
        summary="Every version of a recipe, newest first",
        replies={200: list[RecipeVersionRow]},
    ),
    Operation(
        method="GET",
        path="/api/ops/queue-depth",
        handler=ops.queue_depth,
        summary="Workflows by queue and status",
        query=DepthQuery,
        replies={200: list[DepthRow]},
    ),
    Operation(
        method="GET",
        path="/api/ops/signoff",
        handler=signoff.board,
        summary="The release's verdict by this engine's own judgement, and all that it rests on",
        replies={200: SignoffBoard},
    ),
    Operation(
        method="GET",
        path="/api/ops/wf",
        handler=workflows.listed,
        summary="Workflows of the durable engine, the newest first",
        query=WorkflowsQuery,
        replies={200: list[WorkflowSummary]},
    ),
    Operation(
        method="GET",
        path="/api/ops/wf/{id}",
        handler=workflows.one,
        summary="One workflow with what was done to it, newest first",
        replies={200: WorkflowDetail},
    ),
    Operation(
        method="GET",
        path="/api/ops/wf/{id}/steps",
        handler=workflows.steps,
        summary="What the durable engine recorded of a workflow, in its order",
        replies={200: list[WorkflowStep]},
    ),
    Operation(
        method="POST",
        path="/api/ops/wf/{id}/cancel",
        handler=workflows.cancel,
        point="cancel",
        summary="End a workflow; what it wrote is taken back",
        body=Action,
        replies={202: Accepted},
    ),
    Operation(
        method="POST",
        path="/api/ops/wf/{id}/resume",
        handler=workflows.resume,
        point="resume",
        summary="Let a canceled workflow go on under its own id",
        body=Action,
        replies={202: Accepted},
    ),
    Operation(
        method="POST",
        path="/api/ops/wf/{id}/fork",
        handler=workflows.fork,
        point="fork",
        summary="A new workflow that goes on from a step of this one",
        body=ForkAction,
        replies={202: ForkAccepted},
    ),
    Operation(
        method="POST",
        path="/api/runs/{wid}/retry",
        handler=workflows.repair,
        point="retry",
        summary="Repair a failed run by an execution of its own",
        replies={202: RepairAccepted},
    ),
    Operation(
        method="POST",
        path="/crashdemo",
        handler=demos.start,
        point="demo",
        summary="Begin a crash demo: a mark, a durable sleep, a mark",
        query=DemoQuery,
        replies={202: DemoAccepted},
    ),
    Operation(
        method="GET",
        path="/marks",
        handler=demos.marks,
        summary="How often each mark of a crash demo stands in the log",
        query=DemoQuery,
        replies={200: Marks},
    ),
    Operation(
        method="GET",
        path="/healthz",
        handler=ops.healthz,
        summary="Whether starts and replies are durable now",
        replies={200: Health, 503: Health},
        roles=EVERYBODY,
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        handler=openapi.served,
        summary="This document",
        replies={200: openapi.JSON},
    ),
)
