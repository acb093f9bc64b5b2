"""The steps of a run, and their artifacts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256

from engine.core import artifacts as rules
from engine.core import budgets
from engine.errors import Missing
from engine.store import Tx, runs
from engine.store import artifacts as store
from engine.store.artifacts import Artifact, Step, StepArtifact


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One step of a run with its artifacts."""

    workflow_id: str
    step: Step
    artifacts: list[StepArtifact]


async def steps(tx: Tx, wid: str) -> list[StepSeen]:
    """The newest attempt of every step, in the order of their begins. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    found = await store.steps(tx, run.id)
    left: dict[str, list[StepArtifact]] = defaultdict(list)
    for artifact in await store.of_run(tx, run.id):
        left[artifact.step_id].append(artifact)
    every = [*found, *_budget(left[budgets.STEP])]
    every.sort(key=lambda step: (step.started_at, rules.place(step.step_id)))
    return [
        StepSeen(run.workflow_id, step, _of_attempt(step, left[step.step_id])) for step in every
    ]


def _of_attempt(step: Step, artifacts: list[StepArtifact]) -> list[StepArtifact]:
    return [artifact for artifact in artifacts if artifact.attempt == step.attempt]


def _budget(artifacts: list[StepArtifact]) -> list[Step]:
    """The step BUDGET for an exceeded budget: its newest attempt."""
    if not artifacts:
        return []
    at = max(artifacts, key=lambda artifact: artifact.attempt)
    return [
        Step(
            step_id=budgets.STEP,
            attempt=at.attempt,
            phase=budgets.KIND,
            output={"errCode": budgets.STEP},
            trace_id=None,
            span_id=None,
            started_at=at.created_at,
            finished_at=at.created_at,
        )
    ]


async def content(tx: Tx, uri: str) -> tuple[bytes, str]:
    """The bytes whose sha256 is the artifact's, and their media type. Raises Missing."""
    artifact = await store.by_uri(tx, uri)
    if artifact is None:
        raise Missing("artifact not found")
    return _verify_bytes(artifact), rules.media_type(artifact.kind)


def _verify_bytes(artifact: Artifact) -> bytes:
    served = rules.content(artifact.kind, artifact.inline)
    if sha256(served).hexdigest() != artifact.sha256:
        raise RuntimeError(f"{artifact.uri} does not have the digest that was recorded for it")
    return served
