"""The steps of a run, and their artifacts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.base import millis
from engine.contracts.steps import ArtifactRef, StepView
from engine.core import artifacts as rules
from engine.store.artifacts import StepArtifact
from engine.usecases import artifacts
from engine.usecases.artifacts import StepSeen


async def list_steps(request: Request) -> Response:
    """``GET /api/runs/:wid/steps``: the domain's steps, in the order of their begins (D9)."""
    async with http.ports(request).pool.connection() as tx:
        steps = await artifacts.steps(tx, request.path_params["wid"])
    return http.reply_list([_view(step) for step in steps])


async def content(request: Request) -> Response:
    """``GET /api/artifacts/<uri>``: the bytes whose sha256 is the artifact's."""
    async with http.ports(request).pool.connection() as tx:
        served, media_type = await artifacts.content(tx, request.path_params["uri"])
    return Response(served, headers={"content-type": media_type})


def _view(seen: StepSeen) -> StepView:
    step = seen.step
    return StepView(
        step_id=step.step_id,
        name=step.step_id,
        phase=step.phase,
        status="SUCCESS" if rules.has_succeeded(step.output) else "ERROR",
        attempt=step.attempt,
        started_at=millis(step.started_at),
        ended_at=millis(step.finished_at),
        artifact_refs=[_ref(seen.workflow_id, artifact) for artifact in seen.artifacts],
        trace_id=step.trace_id,
        span_id=step.span_id,
    )


def _ref(workflow_id: str, artifact: StepArtifact) -> ArtifactRef:
    return ArtifactRef(
        id=artifact.uri,
        workflow_id=workflow_id,
        step_id=artifact.step_id,
        kind=artifact.kind,
        mime=rules.media_type(artifact.kind),
        size=len(rules.content(artifact.kind, artifact.inline)),
        storage_key=artifact.uri,
    )
