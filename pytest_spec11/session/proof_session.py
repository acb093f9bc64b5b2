"""The plugin's state in one pytest process; it exists only when something uses the plugin."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_spec11 import opened_files, options
from pytest_spec11.errors import BadInput, JournalBroken
from pytest_spec11.evidence import binding
from pytest_spec11.evidence.journal import Journal
from pytest_spec11.mutants import handover
from pytest_spec11.mutants.orders import Orders
from pytest_spec11.options import Settings
from pytest_spec11.oracles.witness import without_password
from pytest_spec11.requirements import catalogue, policy, tree_catalogue
from pytest_spec11.run import CONTROLLER, FIRST_WORKER, MAIN, run_of
from pytest_spec11.session import assertion_hook, compiled_files, markers, surroundings
from pytest_spec11.session.controls import Controls
from pytest_spec11.session.needs import PRIVATE, RECORD, needs_of
from pytest_spec11.session.recorder import Recorder
from pytest_spec11.session.redaction import Redaction
from pytest_spec11.session.retention import prune
from pytest_spec11.session.runtest_hooks import RuntestHooks
from pytest_spec11.session.runtime import Runtime
from pytest_spec11.session.test_inventory import TestInventory, list_places
from pytest_spec11.verdict.gate import evaluate
from pytest_spec11.verdict.question import Question
from pytest_spec11.verdict.run_summary import RunSummary

if TYPE_CHECKING:  # it imports psycopg and httpx, which only a test that uses an oracle may load
    from pytest_spec11.oracles.access import Access


class ProofSession:
    """One for each pytest process that uses the plugin. Its hooks handle collection and the end."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.runtime = Runtime(config, settings, run_of(config, settings.dir))
        self.recorder: Recorder | None = None
        self._deselected: list[pytest.Item] = []
        self._checked: set[Path] = set()
        self.summary: RunSummary | None = None
        self._green = False
        self.expected_workers: list[str] = []  # of xdist; its controller alone has any
        self._orders = handover.take() or self._find_orders()
        self._controls = Controls(self._orders.mutants if self._orders else {})
        self.runtime.arm(self._orders.saboteurs if self._orders else self.settings.saboteurs)

    def pytest_sessionstart(self) -> None:
        """End the run at once if the team's catalogue or policy cannot be read."""
        if sys.flags.optimize:
            raise pytest.UsageError("spec11 does not run under -O: Python removes the assertions")
        self._find_catalogue_of_tree()
        if self.settings.catalogue:
            _ = self._catalogue
        self._policy()
        if self.settings.saboteur or self.settings.findings:
            self._check_sabotage()

    @property
    def is_controller(self) -> bool:
        """Whether this process is the xdist controller, which gives tests to workers."""
        return self.runtime.run.role == CONTROLLER

    @property
    def access(self) -> Access:
        """Connections to the shared stack; they create oracles. Raises TargetFailed."""
        return self.runtime.access

    def _find_orders(self) -> Orders | None:
        """What the controller left for this worker, if it is one."""
        run = self.runtime.run
        text = self.runtime.shelf.take_orders(run.role) if run.borrows else ""
        return Orders.loads(text.encode()) if text else None

    def hand_on_orders(self, role: str) -> None:
        """The worker of that role finds what it has to do, if there is anything."""
        if self._orders is not None:
            own = replace(self._orders, out=f"{self._orders.out}.{role}")
            self.runtime.shelf.put_orders(role, own.dumps().decode())

    def take_orders(self) -> tuple[Orders | None, Controls]:
        """What a controlled run has to do, and what does it; in a plain run, nothing."""
        return self._orders, self._controls

    def _check_sabotage(self) -> None:
        """Check that a sabotaged run has one process and no scope. Raises pytest.UsageError."""
        if self.is_controller or self.runtime.run.borrows:
            raise pytest.UsageError("a sabotaged run needs one process: do not use xdist")
        if self.settings.scope != "demo":
            raise pytest.UsageError("a sabotaged run proves nothing: do not give a scope")

    def check(self, collector: pytest.Collector, items: Iterable[pytest.Item]) -> None:
        """Check that each named claim exists and fits its scenario, and that no test hides another.

        Raises CollectError that names the faults.
        """
        faults = [fault for item in items for fault in markers.faults_of(item, self._catalogue)]
        for path in {item.path for item in items} - self._checked:
            self._checked.add(path)
            faults += markers.find_shadowed_tests(path)
        if faults:
            raise collector.CollectError("\n".join(faults))

    def need(self, needs: frozenset[str]) -> None:
        """Begin to start what selected tests need; open a journal if one of them must prove."""
        self.runtime.lease.want(needs)
        if RECORD in needs and self.recorder is None:
            self.recorder = self._open_recorder()
            self.config.pluginmanager.register(RuntestHooks(self.recorder), "spec11-watch")

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Prepare a test file before pytest imports it."""
        assertion_hook.forget_deaf(module_path)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Record which tests the selection leaves out, also if the remover reports nothing."""
        before = list(items)
        self._select(items)
        result = yield
        left = set(items)
        self._deselected += [item for item in before if item not in left]
        return result

    def _select(self, items: list[pytest.Item]) -> None:
        """Keep only the tests of the requested claims. Raises pytest.UsageError."""
        wanted = set(options.words(self.settings.claims))
        if not wanted:
            return
        if unknown := sorted(wanted - self._catalogue.claims.keys()):
            raise pytest.UsageError(f"no claim {', '.join(unknown)} in the catalogue")
        kept = [item for item in items if wanted & set(markers.claims_of(item))]
        self.config.hook.pytest_deselected(items=[each for each in items if each not in kept])
        items[:] = kept

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record the selection and start what it needs."""
        needs = frozenset[str]().union(*map(needs_of, session.items))
        if not needs or self.config.getoption("collectonly"):
            return
        self.need(needs)
        if PRIVATE in needs:
            self.runtime.begin_fork_servers()
        if self.recorder is not None:
            self.recorder.record_collection(
                map(_describe_item, session.items),
                map(_describe_item, self._deselected),
                self._take_inventory(session.items),
            )

    def _take_inventory(self, items: list[pytest.Item]) -> dict[str, Any]:
        """The tests that the tree defines, and those that were selected.

        A demo is never GO, and of the workers of xdist one is enough to read the files.
        """
        root, defined = self.config.rootpath, list[dict[str, Any]]()
        if self.settings.scope != "demo" and self.runtime.run.role in {MAIN, FIRST_WORKER}:
            tree = TestInventory(self.config, binding.list_files(root), self._policy().tests)
            known = [*items, *self._deselected]
            modules = {item.path: getattr(item, "module", None) for item in known}
            defined = tree.list_defined(modules)
        return {"defined": defined, "selected": list_places(items, root)}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Stop the target, seal the journal, and fail the run if a passed test proved nothing."""
        green = exitstatus == pytest.ExitCode.OK
        about = {} if self.recorder is None else self._describe_target()
        self.close(keep_logs=self.settings.keep_logs or not green)
        if self.recorder is None:
            return
        if self.is_controller:
            self.recorder.workers(self.expected_workers)
        if self.settings.scope != "demo":  # a demo is never GO
            self.recorder.record_surroundings({**self._describe_surroundings(), "target": about})
        self.recorder.seal(int(exitstatus))
        if self._orders is None and not self.runtime.run.borrows:
            with self.runtime.timings.phase("verdict"):
                self.summary = self._summarize()
            if self.settings.keep:
                prune(self.runtime.run.path.parent, self.settings.keep, datetime.now(UTC))
            self._green = green
            if green and self.summary.hollow:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _describe_target(self) -> dict[str, Any]:
        """What the target ran, while it runs; a worker of xdist leaves this to the controller."""
        if self.settings.scope == "demo" or self.runtime.run.borrows:
            return {}
        from pytest_spec11.session.target_record import describe_target  # noqa: PLC0415  # few runs need it

        return describe_target(self.runtime, binding.list_files(self.config.rootpath))

    def _describe_surroundings(self) -> dict[str, Any]:
        root, ini = self.config.rootpath, self.config.inipath
        named = (ini, root / policy.FILE, self._named_catalogue or self._find_catalogue_of_tree())
        files = [each for each in named if each is not None and each.is_file()]
        opened, bound = opened_files.find_watched(), frozenset(binding.list_files(root))
        own = self.runtime.run.path
        found = surroundings.describe(self.config, opened, bound, files, own)
        if opened is not None and self.runtime.run.role in {MAIN, FIRST_WORKER}:
            forged = compiled_files.find_forged(opened.code - opened.made)
            found["foreign"] += [
                {"path": os.path.relpath(each, root), "kind": "code"} for each in forged
            ]
        return found

    def _summarize(self) -> RunSummary:
        """What the gate says of this run, for the work tree as it is now.

        Raises pytest.UsageError when the policy is none any more.
        """
        given, path = self.settings, self.runtime.run.path
        asked = Question(
            bundles=[path],
            root=self.config.rootpath,
            scope=given.scope,
            app_version=self.runtime.target.app_version,
            catalogue=self._named_catalogue,
            is_alone=given.scope == "demo",  # never GO, so nobody waits for other runs to be read
        )
        try:
            return RunSummary(path, evaluate(asked), self._find_catalogue_of_tree())
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error

    def pytest_unconfigure(self) -> None:
        """Clean up also after a run that broke before its session ended."""
        self.close(keep_logs=True)
        if self._orders is not None and not self.runtime.run.borrows:  # it is evidence of nothing
            shutil.rmtree(self.runtime.run.path, ignore_errors=True)

    def close(self, *, keep_logs: bool) -> None:
        """End everything that this process started."""
        self.runtime.close(keep_logs=keep_logs)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what this run proves and what it cannot, if it had anything to prove."""
        if self.summary is not None:
            terminalreporter.section("spec11")
            for line in self.summary.lines(green=self._green):
                terminalreporter.line(line)
        if self.settings.timings:
            terminalreporter.section("spec11 timings")
            for line in self.runtime.timings.lines():
                terminalreporter.line(line)

    def _open_recorder(self) -> Recorder:
        run, target = self.runtime.run, self.runtime.target
        try:
            journal = Journal(run.path / f"journal-{run.role}.ndjson", run.path / "blobs")
        except JournalBroken as error:
            raise pytest.UsageError(str(error)) from error
        for each in (self._catalogue.content, self._policy().content):
            journal.blob(each)  # the binding names their digests: anyone can judge by them
        journal.start(
            runId=run.id,
            nonce=run.nonce,
            role=run.role,
            pid=os.getpid(),
            binding=(bound := self._binding()),
            uncommitted=binding.list_uncommitted(self.config.rootpath) if bound["dirty"] else [],
            scope=self.settings.scope,
            shard=self.settings.shard,
            saboteurs=[*self.settings.saboteurs],
            target=target.name,
            posture=dict(target.posture),
            arguments=[without_password(str(each)) for each in self.config.invocation_params.args],
            command=[without_password(each) for each in sys.orig_argv],
            beganAt=int(psutil.Process().create_time() * 1000),
        )
        return Recorder(journal, Redaction.of(target), self._controls.change)

    def _binding(self) -> dict[str, str | bool]:
        return binding.measure(
            self.config.rootpath,
            self.runtime.target.app_version,
            self.settings.scope,
            self._catalogue.digest,
        )

    @property
    def _named_catalogue(self) -> Path | None:
        """The file that the option or pytest's configuration names, if one does."""
        path = self.settings.catalogue
        return self.config.rootpath / path if path else None

    @cached_property
    def _catalogue(self) -> catalogue.Catalogue:
        """The claims; read once. Raises pytest.UsageError when the file is not a catalogue."""
        try:
            return tree_catalogue.load(self.config.rootpath, self._named_catalogue)
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error

    def _find_catalogue_of_tree(self) -> Path | None:
        """The file that every command uses here. Raises pytest.UsageError if the tree names two."""
        try:
            return tree_catalogue.find_file(self.config.rootpath)
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error

    def _policy(self) -> policy.Policy:
        """What the tree demands of a release. Raises pytest.UsageError for an unreadable file."""
        try:
            return policy.load(self.config.rootpath)
        except BadInput as error:
            raise pytest.UsageError(str(error)) from error


def _describe_item(item: pytest.Item) -> dict[str, Any]:
    return {
        "node": item.nodeid,
        "scenarios": list(markers.scenarios_of(item)),
        "claims": list(markers.claims_of(item)),
    }
