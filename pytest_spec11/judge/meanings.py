"""What each reason means and what usually causes it, for a person who meets it first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """What a reason says, and what usually causes it."""

    says: str
    cause: str


MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        "E-NO-EVIDENCE": Meaning(
            "The directory holds no journal, or a journal without a whole record.",
            "No test was marked with a scenario, or the directory is not one of a run.",
        ),
        "E-TRUNCATED": Meaning(
            "The last line of a journal is not whole.",
            "The process was killed, or a disk was full.",
        ),
        "E-CHAIN": Meaning(
            "A line of a journal does not fit to the line before it.",
            "Somebody edited, removed, moved or added a line.",
        ),
        "E-UNSEALED": Meaning(
            "A journal does not end with a seal.", "The run was interrupted before its end."
        ),
        "E-LOST": Meaning(
            "A process of the run left no journal, or one too many.",
            "A worker of xdist crashed, or a file was removed.",
        ),
        "E-BINDING": Meaning(
            "The evidence does not say what it was made with, or the prover was another one.",
            "The tree has no commit, or the plugin was changed or updated after the run.",
        ),
        "claim_scope_demo": Meaning(
            "The run had the scope demo, which is for looking.", "No scope was given to pytest."
        ),
        "E-SCOPE": Meaning(
            "The evidence has another scope than the verdict.",
            "The run had another --spec11-scope.",
        ),
        "E-DIRTY": Meaning(
            "The work tree had changes that no commit holds.",
            "A file was edited, added or removed and not committed. The reason names the files.",
        ),
        "E-TREE": Meaning(
            "The evidence is about other files than those of the work tree.",
            "A file changed after the run.",
        ),
        "E-COMMIT": Meaning(
            "The evidence is about another commit.", "A commit was made after the run."
        ),
        "E-CATALOGUE": Meaning(
            "The run had other claims than the gate.",
            "The run used --spec11-catalogue, and the tree names another file or none.",
        ),
        "E-APPVERSION": Meaning(
            "The target had another version than the one to release.",
            "The target's app_version and the policy differ.",
        ),
        "E-POLICY": Meaning(
            "The run had another policy, or a test ended under other claims than it began with.",
            "spec11.toml changed, or a marker was changed while the run went on.",
        ),
        "oc_strict_mode_required": Meaning(
            "The engine replaced answers of its agents.", "OC_STRICT_MODE was switched off."
        ),
        "queue_partition_off": Meaning(
            "The queues had no partitions, so one tenant could stop the others.",
            "INTENT_QUEUE_PARTITION or SBX_QUEUE_PARTITION was false.",
        ),
        "oc_mode": Meaning("The agents were not live.", "OC_MODE was replay or record."),
        "sbx_mode": Meaning("The sandbox was not live.", "SBX_MODE was mock."),
        "E-STALE": Meaning(
            "The evidence is older than the policy allows.", "The run is of yesterday."
        ),
        "E-FUTURE": Meaning("The evidence is of a time that is yet to come.", "A clock is wrong."),
        "E-TIME": Meaning(
            "The times of the evidence contradict each other.",
            "A clock was set back, or a record was put in from elsewhere.",
        ),
        "E-REF": Meaning(
            "Bytes that a record names are not in the bundle.", "The directory of blobs is missing."
        ),
        "E-DIGEST": Meaning(
            "Bytes do not match the digest under which they are kept.", "Somebody changed a file."
        ),
        "E-REPLAY": Meaning(
            "The same evidence is there twice, or two runs lie in one directory.",
            "A directory was copied, or given twice.",
        ),
        "E-SHARD": Meaning(
            "A part of a split run is missing, or there is one too many.",
            "A machine of CI did not run, or ran under another name.",
        ),
        "E-CONSERVATION": Meaning(
            "Not every collected test ended, or a test ended that was never collected.",
            "The run was stopped by -x, or by a crash.",
        ),
        "E-FOREIGN-CODE": Meaning(
            "Python ran a file that is no part of the tree and of no installed distribution.",
            "Git ignores a conftest, a plugin or a module, or it lies outside the tree.",
        ),
        "E-FOREIGN-INPUT": Meaning(
            "The tests' own code read a file that is no part of the tree.",
            "Git ignores the file with the expected values.",
        ),
        "E-TARGET": Meaning(
            "The system under test ran code that is not the tree's, or told another build.",
            "An older package is installed, a build folder is old, or a container or an attached "
            "system does not tell its build.",
        ),
        "E-UNKNOWN-CLAIM": Meaning(
            "A marker or the policy names a claim that the catalogue does not have.",
            "The id has a typing error, or the claim was renamed.",
        ),
        "E-FAILED": Meaning("A test of the claim failed.", "The product does not keep the claim."),
        "E-ERROR": Meaning(
            "A fixture of the test failed, or the process of pytest did.",
            "The target did not start, or a test needs what is not there.",
        ),
        "E-THREAD": Meaning(
            "A thread of the test ended with an exception.", "Nobody joined the thread."
        ),
        "E-RETURN": Meaning("The test returned a value.", "It says return where it should assert."),
        "E-CONTRADICTION": Meaning(
            "A report says that the test ended better than it did.",
            "A hook or a plugin changed the outcome.",
        ),
        "E-BACKGROUND": Meaning(
            "Something that the test started failed beside it.",
            "Nobody awaited a task, took the exception of a future, or read an exit status.",
        ),
        "E-DUPLICATE": Meaning(
            "Two runs recorded the same test.", "The shards of a split run overlap."
        ),
        "E-RERUN": Meaning("The test ran more than once.", "A plugin repeats what fails."),
        "E-FLAKY": Meaning(
            "The test was red in another kept run of this tree.",
            "The test or the product is flaky.",
        ),
        "E-XFAIL": Meaning("The test is expected to fail.", "The claim does not hold yet."),
        "E-XPASS": Meaning("The test passed, though it is expected to fail.", "The mark is old."),
        "E-SKIPPED": Meaning("The test was skipped.", "The machine lacks what the test needs."),
        "E-DESELECTED": Meaning("The test was left out.", "-k, -m or a path left it out."),
        "E-NOT-COLLECTED": Meaning(
            "A test file of the tree is in no run.", "A path, --ignore or a hook left it out."
        ),
        "E-SHADOWED": Meaning(
            "Pytest never sees a test that a file defines.", "Another test has the same name."
        ),
        "E-NOT-RUN": Meaning("No test of the claim ran.", "The claim has no test yet."),
        "E-EMPTY": Meaning(
            "The test observed nothing.", "It asserts on constants, or reads past the oracles."
        ),
        "E-NO-ASSERTION": Meaning(
            "Nothing was asserted after the first observation.",
            "The test has no assert, or only a fixture asserts.",
        ),
        "E-SOURCE": Meaning(
            "The claim was not observed through a source that it needs.",
            "The test reads the API only, and the claim needs SQL too.",
        ),
        "E-LANE": Meaning(
            "A lane that the catalogue asks for has no green record.",
            "It was not run, or it is red.",
        ),
        "E-LANE-ORDER": Meaning(
            "A lane ran before the lane that it stands on.", "The lanes are of two release runs."
        ),
        "E-WEAK-ORACLE": Meaning(
            "No fault and no mutant turned the claim red.",
            "spec11 sabotage did not run, or no assertion depends on what the test reads.",
        ),
        "E-TILE": Meaning("The tiles of a sign-off are not the catalogue's.", "It was edited."),
        "E-SIGNATURE": Meaning("Too few of the named keys signed.", "A signature is missing."),
        "E-JUDGES": Meaning(
            "Two judges do not say the same.", "One of the judges is wrong, or was changed."
        ),
        "E-UNKNOWN": Meaning(
            "A rule could not decide.", "The evidence has a shape that it did not expect."
        ),
    }
)
