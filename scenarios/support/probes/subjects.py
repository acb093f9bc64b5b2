"""What routes can be asked about: a run, the parts of it, and what else has a name of its own."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from pytest_spec11.oracles.http import Api
from scenarios.support.contract.inventory import Operation

STEP = "ApplyPatchST"
RECIPE_ID, RECIPE_V = "seed.r02", "v1"  # nobody plants versions of it


@dataclass(frozen=True)
class Subject:
    """A run that got as far as its gate, and the name of a crash demo, begun or not."""

    wid: str
    gate_key: str
    uri: str
    demo: str

    def url(self, each: Operation) -> str:
        """Where ``each`` is for this subject, with the queries that must be there."""
        query = urlencode({name: self.required_value(name) for name in each.needed})
        return f"{self.path(each)}?{query}" if query else self.path(each)

    def path(self, each: Operation) -> str:
        """The same without any query."""
        of_workflow = each.path.startswith("/api/ops/wf/")
        named = self.wid if of_workflow else RECIPE_ID
        run = {"wid": self.wid, "gateKey": self.gate_key, "uri": self.uri, "stepId": STEP}
        return each.at(**run, id=named, v=RECIPE_V)

    def required_value(self, name: str) -> str:
        """The value of a query parameter that must be there."""
        return {"wf": self.demo}[name]


def subject(api: Api, wid: str) -> Subject:
    """The run of ``wid``, which waits at its gate or has passed it."""
    (gate,) = api.get(f"/api/runs/{wid}/gates").json()
    (step, *_) = api.get(f"/api/runs/{wid}/steps").json()
    return Subject(wid, gate["gateKey"], step["artifactRefs"][0]["id"], f"demo of {wid}")
