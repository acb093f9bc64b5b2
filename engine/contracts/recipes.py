"""Bodies of the recipe registry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from engine.contracts.base import Digest, Millis, Name, View, Wire

VersionStatus = Literal["draft", "candidate", "stable"]
Count = Annotated[int, Field(ge=0)]
Cap = Annotated[int, Field(ge=1, le=2**31 - 1)]
Id = Annotated[Name, Field(min_length=1)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Uri = Annotated[str, Field(min_length=1, max_length=1024, description="a glob: * any, ? one")]
Queue = Literal["compileQ", "sbxQ", "controlQ", "intentQ"]


class Caps(Wire):
    """The most that one run of the recipe may request."""

    max_steps: Cap
    max_fanout: Cap
    max_sbx_min: Cap
    max_tokens: Cap


class FileExists(Wire):
    """Passes if the uri of an artifact matches ``glob``."""

    kind: Literal["file_exists"]
    id: Id
    glob: Uri


class JsonSchema(Wire):
    """Passes if the artifact is JSON that fits ``schema``."""

    kind: Literal["jsonschema"]
    id: Id
    artifact: Uri
    schema_: dict[str, JsonValue] = Field(alias="schema")


class RowCount(Wire):
    """Passes if the artifact has at least ``n`` rows."""

    kind: Literal["rowcount_gte"]
    id: Id
    artifact: Uri
    n: Count


class Regex(Wire):
    """Passes if ``re`` is found in the artifact."""

    kind: Literal["regex"]
    id: Id
    artifact: Uri
    re: Annotated[str, Field(min_length=1, max_length=1000)]


class DiffLe(Wire):
    """Passes if the two artifacts differ in at most ``max`` letters."""

    kind: Literal["diff_le"]
    id: Id
    artifact_a: Uri = Field(alias="artifactA")
    artifact_b: Uri = Field(alias="artifactB")
    max: Count


Check = Annotated[FileExists | JsonSchema | RowCount | Regex | DiffLe, Field(discriminator="kind")]


class Fixture(Wire):
    """A form from which the recipe must make a good run."""

    id: Id
    form_data: dict[str, JsonValue]


class Prompts(Wire):
    """What the agents get in addition to the intent."""

    compile: Text
    postmortem: Text


class RecipeSpec(Wire):
    """One version of a recipe, as its author wrote it; its hash is of exactly this."""

    id: Id
    v: Id
    name: Id
    tags: Annotated[list[Id], Field(max_length=50)] | None = None
    form_schema: dict[str, JsonValue]
    intent_tmpl: dict[str, JsonValue]
    wf_entry: Id
    queue: Queue
    limits: Caps
    eval: Annotated[list[Check], Field(max_length=50)]
    fixtures: Annotated[list[Fixture], Field(max_length=20)]
    prompts: Prompts

    def to_core(self) -> dict[str, Any]:
        """The spec as it was sent, without keys that were left out."""
        return self.model_dump(exclude_unset=True)


class RecipeBundle(Wire):
    """Versions to import together or not at all. The reply only echoes the bundle's id (B58)."""

    id: Id
    versions: Annotated[list[RecipeSpec], Field(min_length=1, max_length=100)]


class RecipeExportRequest(Wire):
    """The id of the recipe to export."""

    id: Id


class ImportedVersion(View):
    """One version of a bundle, as it is in the registry now."""

    id: str
    v: str
    hash: Digest
    status: VersionStatus


class RecipeImported(View):
    """The imported versions, in the order of the bundle."""

    id: str
    versions: list[ImportedVersion]


class ExportedRecipe(View):
    """Every version of a recipe, oldest first, each as it was imported."""

    id: str
    versions: list[dict[str, JsonValue]]


class Promoted(View):
    """The status of a version after a promotion, or during one.

    ``promotionID`` names the rows of ``app.eval_results``; None if no check was necessary.
    """

    id: str
    v: str
    hash: Digest
    status: VersionStatus
    active_v: str | None
    promotion_id: str | None = Field(alias="promotionID")
    outcome_hash: Digest | None


class RecipeRow(View):
    """One recipe, at its newest version."""

    id: str
    name: str
    latest_v: str
    status: VersionStatus
    updated_at: Millis


class RecipeVersionRow(View):
    """One version of a recipe."""

    id: str
    v: str
    hash: Digest
    status: VersionStatus
    created_at: Millis
    eval_count: Count
    fixture_count: Count
