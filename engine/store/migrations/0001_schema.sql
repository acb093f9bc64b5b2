-- Identity, runs and everything a run leaves behind. Constraints are named: the store turns a
-- refused name into one row of the error lattice.

CREATE FUNCTION app.millis(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT floor(extract(epoch FROM at) * 1000)::bigint';

CREATE TABLE app.recipes (
    id text CONSTRAINT recipes_pkey PRIMARY KEY,
    name text NOT NULL,                             -- as the active version has it; two recipes may share it
    queue_name text NOT NULL,
    active_v text,                                  -- the version new work should pin; null until one is stable
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT recipes_queue_check CHECK (queue_name IN ('compileQ', 'sbxQ', 'controlQ', 'intentQ'))
);

CREATE TABLE app.recipe_versions (
    id text NOT NULL CONSTRAINT recipe_versions_recipe_fkey REFERENCES app.recipes (id),
    v text NOT NULL,
    hash text NOT NULL CONSTRAINT recipe_versions_hash_check CHECK (hash ~ '^[0-9a-f]{64}$'),
    status text NOT NULL CONSTRAINT recipe_versions_status_check
        CHECK (status IN ('draft', 'candidate', 'stable')),
    json jsonb NOT NULL,                            -- the recipe spec; hash = sha256 of its canonical JSON
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT recipe_versions_pkey PRIMARY KEY (id, v),
    CONSTRAINT recipe_versions_hash_key UNIQUE (id, hash)
);

-- The pointer names a version that is there; who puts both in place does so in one transaction.
ALTER TABLE app.recipes ADD CONSTRAINT recipes_active_fkey FOREIGN KEY (id, active_v)
    REFERENCES app.recipe_versions (id, v) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE app.recipe_fixtures (
    recipe_id text NOT NULL,
    v text NOT NULL,
    fixture_id text NOT NULL,
    json jsonb NOT NULL,                            -- {"id": …, "formData": {…}}
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT recipe_fixtures_pkey PRIMARY KEY (recipe_id, v, fixture_id),
    CONSTRAINT recipe_fixtures_version_fkey FOREIGN KEY (recipe_id, v)
        REFERENCES app.recipe_versions (id, v)
);

-- What is stable never changes, whoever writes; what a version says never changes, whatever it is; and it becomes
-- stable by one step at a time (D7, D26).
CREATE FUNCTION app.refuse_recipe_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of a recipe version is refused', TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME, SCHEMA = 'app';
END $$;
CREATE TRIGGER stable_recipe_versions_update BEFORE UPDATE ON app.recipe_versions
    FOR EACH ROW WHEN (OLD.status = 'stable') EXECUTE FUNCTION app.refuse_recipe_change();
CREATE TRIGGER stable_recipe_versions_delete BEFORE DELETE ON app.recipe_versions
    FOR EACH ROW WHEN (OLD.status = 'stable') EXECUTE FUNCTION app.refuse_recipe_change();
CREATE TRIGGER recipe_versions_content BEFORE UPDATE ON app.recipe_versions
    FOR EACH ROW WHEN (OLD.status <> 'stable'
                       AND (OLD.id, OLD.v, OLD.hash, OLD.json, OLD.created_at)
                           IS DISTINCT FROM (NEW.id, NEW.v, NEW.hash, NEW.json, NEW.created_at))
    EXECUTE FUNCTION app.refuse_recipe_change();
CREATE TRIGGER recipe_versions_one_step BEFORE UPDATE OF status ON app.recipe_versions
    FOR EACH ROW WHEN (OLD.status <> 'stable'
                       AND (OLD.status, NEW.status) NOT IN (('draft', 'draft'), ('draft', 'candidate'),
                                                            ('candidate', 'candidate'), ('candidate', 'stable')))
    EXECUTE FUNCTION app.refuse_recipe_change();
CREATE FUNCTION app.refuse_fixture_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM app.recipe_versions n
               WHERE n.id = OLD.recipe_id AND n.v = OLD.v AND n.status = 'stable') THEN
        RAISE EXCEPTION '% of a stable recipe''s fixture is refused', TG_OP
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME, SCHEMA = 'app';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER stable_recipe_fixtures_change BEFORE UPDATE OR DELETE ON app.recipe_fixtures
    FOR EACH ROW EXECUTE FUNCTION app.refuse_fixture_change();

-- A candidate on its way to stable: its fixtures are run twice, and what its checks found is kept before it is judged.
-- One at a time for a version; id is also that of the workflow.
CREATE TABLE app.promotions (
    id text CONSTRAINT promotions_pkey PRIMARY KEY,
    recipe_id text NOT NULL,
    v text NOT NULL,
    number integer NOT NULL,
    state text NOT NULL DEFAULT 'running' CONSTRAINT promotions_state_check
        CHECK (state IN ('running', 'passed', 'failed', 'flaky', 'abandoned')),
    outcome_hashes text[],                          -- of each round; equal for all but a flake
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    CONSTRAINT promotions_number_key UNIQUE (recipe_id, v, number),
    CONSTRAINT promotions_version_fkey FOREIGN KEY (recipe_id, v) REFERENCES app.recipe_versions (id, v),
    CONSTRAINT promotions_end_check CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX promotions_one_key ON app.promotions (recipe_id, v) WHERE state = 'running';

CREATE TABLE app.eval_results (
    promotion_id text NOT NULL CONSTRAINT eval_results_promotion_fkey REFERENCES app.promotions (id),
    round integer NOT NULL CONSTRAINT eval_results_round_check CHECK (round IN (1, 2)),
    fixture_id text NOT NULL,
    check_id text NOT NULL,
    pass boolean NOT NULL,
    reason text NOT NULL,
    payload jsonb,
    intent_hash text,                               -- of the intent that the fixture stood for; null if for none
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT eval_results_pkey PRIMARY KEY (promotion_id, round, fixture_id, check_id)
);

CREATE TABLE app.intents (
    id text CONSTRAINT intents_pkey PRIMARY KEY,    -- 'ih_' || intent_hash
    intent_hash text NOT NULL,
    goal text NOT NULL,
    json jsonb NOT NULL,                            -- the intent; intent_hash = sha256 of its canonical JSON
    recipe_id text NOT NULL,
    recipe_v text NOT NULL,
    recipe_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT intents_hash_check CHECK (intent_hash ~ '^[0-9a-f]{64}$' AND id = 'ih_' || intent_hash)
);

CREATE TABLE app.runs (
    id text CONSTRAINT runs_pkey PRIMARY KEY,       -- 'run_' || 32 hex digits
    workflow_id text NOT NULL CONSTRAINT runs_workflow_key UNIQUE,
    intent_id text NOT NULL CONSTRAINT runs_intent_fkey REFERENCES app.intents (id),
    intent_hash text NOT NULL,
    recipe_id text NOT NULL,
    recipe_v text NOT NULL,
    recipe_hash text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CONSTRAINT runs_status_check CHECK (status IN
        ('queued', 'running', 'waiting_input', 'repairing', 'succeeded', 'failed', 'retries_exceeded', 'canceled')),
    execution_id text NOT NULL,                     -- the durable workflow that owns this row now (D14, D15)
    trace_id text,
    tenant_id text,
    queue_name text NOT NULL,
    queue_partition_key text,
    lane text NOT NULL CONSTRAINT runs_lane_check CHECK (lane IN ('interactive', 'batch')),
    priority integer NOT NULL CONSTRAINT runs_priority_check CHECK (priority >= 1),
    timeout_ms bigint CONSTRAINT runs_timeout_check CHECK (timeout_ms > 0),
    workload jsonb,
    budget jsonb,
    gate_ttl_s integer NOT NULL CONSTRAINT runs_gate_ttl_check CHECK (gate_ttl_s BETWEEN 1 AND 86400),
    app_version text NOT NULL,                      -- DBOS__APPVERSION that the start was stamped with
    forked_from text,
    last_step text,
    next_action text,
    error text,
    retry_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX runs_execution_idx ON app.runs (execution_id);
CREATE INDEX runs_live_idx ON app.runs (execution_id)
    WHERE status IN ('queued', 'running', 'waiting_input', 'repairing');
-- When a run ended, null while it is on its way. By blocks: an index of rows would cost each step its update in place.
CREATE FUNCTION app.ended_at(status text, updated_at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT CASE WHEN status IN ('succeeded', 'failed', 'retries_exceeded', 'canceled') THEN updated_at END $$;
CREATE INDEX runs_ended_idx ON app.runs USING brin (app.ended_at(status, updated_at))
    WITH (pages_per_range = 8, autosummarize = on);
CREATE INDEX runs_forked_idx ON app.runs (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX runs_intent_idx ON app.runs (intent_id);   -- an intent that no run has any more goes with its run

-- Terminal is terminal (D15), whoever writes: there are two ways out, a repair and a resume.
CREATE FUNCTION app.refuse_revival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a run that is % cannot become %', OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_terminal_is_terminal', TABLE = 'runs', SCHEMA = 'app';
END $$;
CREATE TRIGGER runs_terminal_is_terminal BEFORE UPDATE OF status ON app.runs
    FOR EACH ROW WHEN (
        (OLD.status = 'succeeded' AND NEW.status <> 'succeeded')
        OR (OLD.status IN ('failed', 'retries_exceeded') AND NEW.status NOT IN (OLD.status, 'repairing'))
        OR (OLD.status = 'canceled' AND NEW.status NOT IN ('canceled', 'queued', 'running', 'waiting_input')))
    EXECUTE FUNCTION app.refuse_revival();

-- Every word a run's status ever had, in order, written with the row itself: what the status stream
-- tells can never differ from what the row says.
CREATE TABLE app.status_history (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT status_history_pkey PRIMARY KEY,
    run_id text NOT NULL CONSTRAINT status_history_run_fkey REFERENCES app.runs (id),
    status text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX status_history_run_idx ON app.status_history (run_id, id);
CREATE FUNCTION app.keep_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.status_history (run_id, status) VALUES (NEW.id, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER runs_keep_status AFTER UPDATE OF status ON app.runs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION app.keep_status();

CREATE TABLE app.run_steps (
    run_id text NOT NULL CONSTRAINT run_steps_run_fkey REFERENCES app.runs (id),
    step_id text NOT NULL,                          -- CompileST, ApplyPatchST, DecideST, ExecuteST
    attempt integer NOT NULL DEFAULT 1,
    phase text NOT NULL,                            -- compilation, patching, planning, execution
    output jsonb NOT NULL,
    trace_id text,
    span_id text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    CONSTRAINT run_steps_pkey PRIMARY KEY (run_id, step_id, attempt),
    CONSTRAINT run_steps_times_check CHECK (started_at <= finished_at)
);

CREATE TABLE app.artifacts (
    run_id text NOT NULL,                           -- a run's, or, under OPS, a workflow's that is no run
    step_id text NOT NULL,
    task_key text NOT NULL DEFAULT '',
    idx integer NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    kind text NOT NULL,
    uri text NOT NULL,
    inline jsonb NOT NULL,                          -- text kinds: {"text": …}; all others: the document itself
    payload jsonb GENERATED ALWAYS AS (inline) STORED,
    sha256 text NOT NULL CONSTRAINT artifacts_sha256_check CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT artifacts_pkey PRIMARY KEY (run_id, step_id, task_key, idx, attempt)
);
CREATE INDEX artifacts_uri_idx ON app.artifacts (uri, attempt);
CREATE INDEX artifacts_budget_idx ON app.artifacts (created_at) WHERE step_id = 'BUDGET';

CREATE TABLE app.sbx_runs (
    run_id text NOT NULL CONSTRAINT sbx_runs_run_fkey REFERENCES app.runs (id),
    step_id text NOT NULL,
    task_key text NOT NULL,                         -- also the child workflow's id
    attempt integer NOT NULL DEFAULT 1,
    provider text NOT NULL,
    request jsonb NOT NULL,
    response jsonb NOT NULL,
    err_code text NOT NULL,
    metrics jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sbx_runs_pkey PRIMARY KEY (run_id, step_id, task_key, attempt)
);
CREATE INDEX sbx_runs_task_idx ON app.sbx_runs (task_key);

-- Sandboxes made ready beforehand: one for the dependencies of one recipe version, whatever they are called. Other
-- dependencies are another row; the same ones are never given another template (B66).
CREATE TABLE app.sbx_templates (
    recipe_id text NOT NULL,
    recipe_v text NOT NULL,
    deps_hash text NOT NULL CONSTRAINT sbx_templates_hash_check CHECK (deps_hash ~ '^[0-9a-f]{64}$'),
    template_key text NOT NULL CONSTRAINT sbx_templates_key UNIQUE
        CONSTRAINT sbx_templates_key_check CHECK (template_key = recipe_id || ':' || recipe_v || ':' || deps_hash),
    template_id text NOT NULL CONSTRAINT sbx_templates_id_check CHECK (length(template_id) BETWEEN 1 AND 256),
    environment jsonb NOT NULL,                     -- what deps_hash is the digest of
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sbx_templates_pkey PRIMARY KEY (recipe_id, recipe_v, deps_hash),
    CONSTRAINT sbx_templates_recipe_fkey FOREIGN KEY (recipe_id, recipe_v) REFERENCES app.recipe_versions (id, v)
);

-- What each attempt of a task was given before it began: a template, or nothing that was ready.
CREATE TABLE app.sbx_selections (
    run_id text NOT NULL CONSTRAINT sbx_selections_run_fkey REFERENCES app.runs (id),
    task_key text NOT NULL,
    attempt integer NOT NULL,
    template_key text NOT NULL,
    recipe_id text NOT NULL,
    recipe_v text NOT NULL,
    deps_hash text NOT NULL,
    template_id text,                               -- null: cold
    selected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sbx_selections_pkey PRIMARY KEY (run_id, task_key, attempt)
);
CREATE INDEX sbx_selections_at_idx ON app.sbx_selections (selected_at);

-- Every question to an agent that was answered or failed. One success a key; a failure stays, and answers nothing.
CREATE TABLE app.opencode_calls (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT opencode_calls_pkey PRIMARY KEY,
    op_key text NOT NULL,                           -- digest of run, step, attempt, schema and prompt
    run_id text NOT NULL CONSTRAINT opencode_calls_run_fkey REFERENCES app.runs (id),
    step_id text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    agent text NOT NULL,
    prompt text NOT NULL,
    schema_hash text NOT NULL,
    structured jsonb,
    tool_calls jsonb NOT NULL DEFAULT '[]',
    served_by text NOT NULL,                        -- live, stub, replay:<sha256 of the fixture>; none: nobody
    session_id text,
    server_version text,
    error text,                                     -- why the call failed; null: it answered
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT opencode_calls_answer_check CHECK (error IS NOT NULL OR structured IS NOT NULL),
    CONSTRAINT opencode_calls_served_check CHECK (served_by ~ '^(live|stub|none|replay:[0-9a-f]{64})$')
);
CREATE INDEX opencode_calls_run_idx ON app.opencode_calls (run_id, step_id);
CREATE UNIQUE INDEX opencode_calls_once ON app.opencode_calls (op_key) WHERE error IS NULL;

-- What a step did is written once: the same again is no news, anything else under the same key is refused by name.
-- Each table has a function of its own: a statement that is put together for each row costs eight times as much.
CREATE FUNCTION app.raise_divergence(relation text, run_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % diverges from what is stored', relation, run_id
        USING ERRCODE = 'unique_violation', CONSTRAINT = relation || '_diverges', TABLE = relation, SCHEMA = 'app';
END $$;

CREATE FUNCTION app.refuse_step_divergence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_same boolean;
BEGIN
    SELECT (t.phase, t.output) IS NOT DISTINCT FROM (NEW.phase, NEW.output) INTO is_same
    FROM app.run_steps t
    WHERE t.run_id = NEW.run_id AND t.step_id = NEW.step_id AND t.attempt = NEW.attempt;
    IF is_same IS NULL THEN
        RETURN NEW;
    ELSIF NOT is_same THEN
        PERFORM app.raise_divergence(TG_TABLE_NAME, NEW.run_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER run_steps_diverges BEFORE INSERT ON app.run_steps FOR EACH ROW
    EXECUTE FUNCTION app.refuse_step_divergence();

CREATE FUNCTION app.refuse_artifact_divergence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_same boolean;
BEGIN
    SELECT (t.kind, t.uri, t.sha256) IS NOT DISTINCT FROM (NEW.kind, NEW.uri, NEW.sha256) INTO is_same
    FROM app.artifacts t
    WHERE t.run_id = NEW.run_id AND t.step_id = NEW.step_id AND t.task_key = NEW.task_key AND t.idx = NEW.idx
      AND t.attempt = NEW.attempt;
    IF is_same IS NULL THEN
        RETURN NEW;
    ELSIF NOT is_same THEN
        PERFORM app.raise_divergence(TG_TABLE_NAME, NEW.run_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER artifacts_diverges BEFORE INSERT ON app.artifacts FOR EACH ROW
    EXECUTE FUNCTION app.refuse_artifact_divergence();

CREATE FUNCTION app.refuse_task_divergence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_same boolean;
BEGIN
    SELECT (t.provider, t.request, t.response, t.err_code)
           IS NOT DISTINCT FROM (NEW.provider, NEW.request, NEW.response, NEW.err_code) INTO is_same
    FROM app.sbx_runs t
    WHERE t.run_id = NEW.run_id AND t.step_id = NEW.step_id AND t.task_key = NEW.task_key AND t.attempt = NEW.attempt;
    IF is_same IS NULL THEN
        RETURN NEW;
    ELSIF NOT is_same THEN
        PERFORM app.raise_divergence(TG_TABLE_NAME, NEW.run_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sbx_runs_diverges BEFORE INSERT ON app.sbx_runs FOR EACH ROW
    EXECUTE FUNCTION app.refuse_task_divergence();

-- A side effect's receipt is written in the transaction of its step row (D16). Keyed by the
-- execution: a recovery meets its own receipt and is not accused.
CREATE TABLE app.mock_receipts (
    receipt_key text CONSTRAINT mock_receipts_pkey PRIMARY KEY,
    run_id text NOT NULL CONSTRAINT mock_receipts_run_fkey REFERENCES app.runs (id),
    step_id text NOT NULL,
    execution_id text NOT NULL,
    payload_hash text NOT NULL,
    seen_count integer NOT NULL DEFAULT 1 CONSTRAINT mock_receipts_seen_check CHECK (seen_count >= 1),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX mock_receipts_run_idx ON app.mock_receipts (run_id);
CREATE INDEX mock_receipts_doubled_idx ON app.mock_receipts (created_at) WHERE seen_count > 1;

CREATE TABLE app.human_gates (
    run_id text NOT NULL CONSTRAINT human_gates_run_fkey REFERENCES app.runs (id),
    gate_key text NOT NULL,
    workflow_id text NOT NULL,                      -- the execution that waits here
    topic text NOT NULL,
    listen_topic text NOT NULL,                     -- where that execution hears of the answer
    step_id text NOT NULL,
    purpose text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CONSTRAINT human_gates_state_check
        CHECK (state IN ('PENDING', 'RECEIVED', 'RESOLVED', 'TIMED_OUT', 'CANCELLED')),
    prompt jsonb NOT NULL,
    result jsonb,
    decision text CONSTRAINT human_gates_decision_check CHECK (decision IN ('yes', 'no')),
    created_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT human_gates_pkey PRIMARY KEY (run_id, gate_key)
);
CREATE INDEX human_gates_open_idx ON app.human_gates (deadline_at) WHERE state = 'PENDING';
CREATE INDEX human_gates_workflow_idx ON app.human_gates (workflow_id);

-- The ledger of accepted answers. The two keys decide every race: a 4-tuple once, a gate once (D17). What may not be
-- null says so in its check, since a refusal by NOT NULL has no name.
CREATE TABLE app.human_interactions (
    id uuid CONSTRAINT human_interactions_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id text CONSTRAINT human_interactions_run_fkey REFERENCES app.runs (id)
        CONSTRAINT human_interactions_run_check CHECK (run_id IS NOT NULL),
    workflow_id text NOT NULL,
    gate_key text NOT NULL,
    topic text NOT NULL,
    dedupe_key text CONSTRAINT human_interactions_dedupe_check
        CHECK (dedupe_key IS NOT NULL AND length(dedupe_key) BETWEEN 1 AND 256),
    payload_hash text CONSTRAINT human_interactions_hash_check
        CHECK (payload_hash IS NOT NULL AND payload_hash ~ '^[a-f0-9]{64}$'),
    payload jsonb NOT NULL,
    origin text CONSTRAINT human_interactions_origin_check CHECK (origin IS NOT NULL AND origin IN
        ('manual', 'engine-dbos', 'api-shim', 'webhook', 'webhook-ci', 'external', 'unknown')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT human_interactions_once UNIQUE (workflow_id, gate_key, topic, dedupe_key),
    CONSTRAINT human_interactions_one_answer UNIQUE (run_id, gate_key),
    CONSTRAINT human_interactions_gate_fkey FOREIGN KEY (run_id, gate_key)
        REFERENCES app.human_gates (run_id, gate_key)
);
CREATE INDEX human_interactions_at_idx ON app.human_interactions (created_at);

-- What was written to files and taken back. The row is there before the file is touched, with what the file
-- was; attempts are kept: writing the same patches again after a rollback is an attempt of its own (D25).
CREATE TABLE app.patch_history (
    run_id text NOT NULL CONSTRAINT patch_history_run_fkey REFERENCES app.runs (id),
    step_id text NOT NULL,
    patch_index integer NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    execution_id text NOT NULL,                     -- the durable workflow that began it
    target_path text NOT NULL,                      -- absolute
    preimage_hash text,                             -- null: the file did not exist
    postimage_hash text NOT NULL,
    diff_hash text NOT NULL,
    preimage_content bytea,
    postimage_content text NOT NULL,
    dirs_made integer NOT NULL DEFAULT 0,           -- directories right above the file that did not exist
    applied_at timestamptz,
    rolled_back_at timestamptz,
    rolled_back_for text,                           -- why it is taken back: there before any file of the run is
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT patch_history_pkey PRIMARY KEY (run_id, step_id, patch_index, attempt),
    CONSTRAINT patch_history_place_check CHECK (patch_index >= 0 AND attempt >= 1 AND dirs_made >= 0),
    CONSTRAINT patch_history_preimage_check CHECK ((preimage_hash IS NULL) = (preimage_content IS NULL)),
    CONSTRAINT patch_history_hashes_check CHECK (
        preimage_hash ~ '^[0-9a-f]{64}$' AND postimage_hash ~ '^[0-9a-f]{64}$' AND diff_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT patch_history_times_check CHECK (created_at <= applied_at AND applied_at <= rolled_back_at),
    CONSTRAINT patch_history_rollback_check CHECK (
        rolled_back_for IN ('failure', 'cancel') AND (applied_at IS NOT NULL OR rolled_back_at IS NULL)
        OR rolled_back_for IS NULL AND rolled_back_at IS NULL)
);

-- A log of effects that has no key by which a double could be refused: whatever was done twice shows (S09). What
-- keeps it from doubling is the checkpoint beside it, in the same transaction.
CREATE TABLE app.marks (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT marks_pkey PRIMARY KEY,
    workflow_id text NOT NULL,
    mark text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX marks_workflow_idx ON app.marks (workflow_id);
CREATE TABLE app.mark_checkpoints (
    workflow_id text NOT NULL,
    function_id integer NOT NULL,
    CONSTRAINT mark_checkpoints_pkey PRIMARY KEY (workflow_id, function_id)
);

-- Executors say which code they run, when they begin. Whoever takes over the runs of one says so in lost_at, and a worker
-- that was only frozen finds it there and ends. Written then, and at no beat.
CREATE TABLE app.executor_registry (
    executor_id text CONSTRAINT executor_registry_pkey PRIMARY KEY,
    incarnation text NOT NULL,                      -- the process that holds the id; no two are alike
    app_version text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lost_at timestamptz
);

-- When the session that bears an executor's lock last asked anything: that is the beat. Null: no session bears it. Only
-- the role itself sees what its sessions do, and readers shall see it, too. (0x5EC1 is the class of these locks.)
CREATE FUNCTION app.last_beat(executor text) RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog AS $$
    SELECT max(a.state_change)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = x'5EC1'::int::oid
      AND l.objid = (hashtext(executor)::bigint & x'FFFFFFFF'::bigint)::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

-- Of an executor that no session bears seen_at says when it began.
CREATE VIEW app.executors AS
SELECT executor_id, incarnation, app_version, pid, started_at,
       coalesce(app.last_beat(executor_id), started_at) AS seen_at, lost_at
FROM app.executor_registry;

-- Wakes long-polls: one notification per gate that leaves PENDING, none while nothing happens (D21).
CREATE FUNCTION app.notify_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('spec11_gates', NEW.run_id || '/' || NEW.gate_key);
    RETURN NULL;
END $$;
CREATE TRIGGER human_gates_notify AFTER UPDATE OF state ON app.human_gates
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION app.notify_gate();

-- Wakes the run that waits for a task of its own, and whoever waits for a promotion.
CREATE FUNCTION app.notify_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('spec11_endings', NEW.workflow_uuid);
    RETURN NULL;
END $$;
CREATE TRIGGER app_notify_ending AFTER UPDATE OF status ON dbos.workflow_status
    FOR EACH ROW WHEN ((NEW.parent_workflow_id IS NOT NULL OR NEW.name = 'PromoteRecipe') AND OLD.status IS DISTINCT FROM NEW.status
                       AND NEW.status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING'))
    EXECUTE FUNCTION app.notify_ending();

-- Workflows that ended by themselves while their run is on its way, for the worker that brings runs to their end: it
-- reads what is here instead of every run. Looked at when the ending is committed: whoever ends a run and its workflow
-- in one transaction leaves nothing here.
CREATE TABLE app.lone_endings (
    id text CONSTRAINT lone_endings_pkey PRIMARY KEY,    -- the durable workflow
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX lone_endings_at_idx ON app.lone_endings (at);
CREATE FUNCTION app.keep_lone_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.lone_endings (id)
    SELECT execution_id FROM app.runs
    WHERE execution_id = NEW.workflow_uuid AND status IN ('queued', 'running', 'waiting_input', 'repairing')
    ON CONFLICT (id) DO UPDATE SET at = excluded.at;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER app_keep_lone_ending AFTER UPDATE OF status ON dbos.workflow_status
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status
          AND NEW.status IN ('CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'))
    EXECUTE FUNCTION app.keep_lone_ending();

-- Prompts without a result, as dbos.workflow_events has them, those of a canceled run too. To look there for each parked
-- run costs five times as much.
CREATE TABLE dbos.spec11_open_prompts (
    id text NOT NULL,                               -- the durable workflow
    key text NOT NULL,
    CONSTRAINT spec11_open_prompts_pkey PRIMARY KEY (id, key)
);
CREATE FUNCTION app.open_prompt(workflow text, prompt text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO dbos.spec11_open_prompts (id, key)
    SELECT p.workflow_uuid, p.key FROM dbos.workflow_events p
    WHERE p.workflow_uuid = workflow AND p.key = prompt AND p.key LIKE 'ui:%' AND p.key NOT LIKE 'ui:%:%'
      AND NOT EXISTS (SELECT FROM dbos.workflow_events r
                      WHERE r.workflow_uuid = p.workflow_uuid AND r.key = p.key || ':result')
    ON CONFLICT DO NOTHING
$$;
CREATE FUNCTION app.close_prompt(workflow text, prompt text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM dbos.spec11_open_prompts WHERE id = workflow AND key = prompt
$$;
CREATE FUNCTION app.keep_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.open_prompt(NEW.workflow_uuid, NEW.key);
    RETURN NULL;
END $$;
CREATE FUNCTION app.keep_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.close_prompt(NEW.workflow_uuid, regexp_replace(NEW.key, ':result$', ''));
    RETURN NULL;
END $$;
CREATE FUNCTION app.keep_other_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.close_prompt(OLD.workflow_uuid, OLD.key);
    PERFORM app.open_prompt(OLD.workflow_uuid, regexp_replace(OLD.key, ':result$', ''));
    IF TG_OP = 'UPDATE' THEN
        PERFORM app.close_prompt(NEW.workflow_uuid, regexp_replace(NEW.key, ':result$', ''));
        PERFORM app.open_prompt(NEW.workflow_uuid, NEW.key);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER app_keep_prompt AFTER INSERT ON dbos.workflow_events FOR EACH ROW
    WHEN (NEW.key LIKE 'ui:%' AND NEW.key NOT LIKE 'ui:%:%') EXECUTE FUNCTION app.keep_prompt();
CREATE TRIGGER app_keep_result AFTER INSERT ON dbos.workflow_events FOR EACH ROW
    WHEN (NEW.key LIKE 'ui:%:result') EXECUTE FUNCTION app.keep_result();
CREATE TRIGGER app_keep_other_event AFTER DELETE OR UPDATE OF workflow_uuid, key ON dbos.workflow_events FOR EACH ROW
    EXECUTE FUNCTION app.keep_other_event();

-- Indexes of ours in the durable engine's schema: what lives, by queue, with all that the views below count; who holds
-- what is under way; and lists by name and status.
CREATE INDEX spec11_workflow_status_live ON dbos.workflow_status (queue_name, status, priority)
    INCLUDE (queue_partition_key, created_at, started_at_epoch_ms, workflow_uuid)
    WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING');
CREATE INDEX spec11_workflow_status_holder ON dbos.workflow_status (executor_id) WHERE status = 'PENDING';
CREATE INDEX spec11_workflow_status_list ON dbos.workflow_status (name, status, created_at);

-- Rows that change several times and then never again: a page that was looked after is counted from its index alone.
ALTER TABLE dbos.workflow_status SET (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

-- Queue rows as the boards and the course read them, from schema dbos alone. A parked run (a prompt
-- event without its result) stands under a word of its own: it waits for a person, not for a slot (D11).
CREATE VIEW app.v_ops_queue_depth AS
SELECT queue_name, status, count(*) AS workflow_count,
       min(created_at) AS oldest_created_at, max(created_at) AS newest_created_at
FROM dbos.workflow_status
WHERE status IN ('ENQUEUED', 'DELAYED')
GROUP BY 1, 2
UNION ALL
SELECT queue_name, CASE WHEN p.id IS NULL THEN status ELSE 'WAITING_INPUT' END,
       count(*), min(created_at), max(created_at)
FROM dbos.workflow_status w
LEFT JOIN (SELECT DISTINCT id FROM dbos.spec11_open_prompts) p ON p.id = w.workflow_uuid
WHERE status = 'PENDING'
GROUP BY 1, 2;

-- The last hour of the queues, and whatever still lies in them however old it is: an idle engine shows what it did.
CREATE VIEW app.v_ops_queue_recent AS
SELECT * FROM dbos.workflow_status
WHERE queue_name IS NOT NULL AND status IN ('ENQUEUED', 'DELAYED', 'PENDING')
UNION ALL
SELECT * FROM dbos.workflow_status
WHERE queue_name IS NOT NULL AND (status IN ('ENQUEUED', 'DELAYED', 'PENDING')) IS NOT TRUE
  AND created_at > app.millis(statement_timestamp()) - 3600000;

-- Whose work it is. Runs that named no partition have none.
CREATE VIEW app.v_ops_queue_fairness AS
SELECT queue_name, nullif(queue_partition_key, '') AS partition_key, status,
       count(*) AS workflow_count,
       count(started_at_epoch_ms) AS started_count,
       max(started_at_epoch_ms - created_at) AS max_latency_ms,
       min(created_at) AS oldest_created_at,
       max(created_at) AS newest_created_at
FROM app.v_ops_queue_recent
GROUP BY 1, 2, 3;

-- How long it lay in the queue: from its creation to its latest start (B46). Only what started is sorted for it.
CREATE VIEW app.v_ops_queue_priority AS
SELECT a.queue_name, a.priority, a.status, a.workflow_count, a.started_count, a.avg_latency_ms, s.p95_latency_ms,
       a.max_latency_ms
FROM (
    SELECT queue_name, priority, status,
           count(*) AS workflow_count,
           count(started_at_epoch_ms) AS started_count,
           round(avg(started_at_epoch_ms - created_at))::bigint AS avg_latency_ms,
           max(started_at_epoch_ms - created_at) AS max_latency_ms
    FROM app.v_ops_queue_recent
    GROUP BY 1, 2, 3
) a
LEFT JOIN (
    SELECT queue_name, priority, status,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY started_at_epoch_ms - created_at) AS p95_latency_ms
    FROM app.v_ops_queue_recent
    WHERE started_at_epoch_ms IS NOT NULL
    GROUP BY 1, 2, 3
) s ON s.queue_name = a.queue_name AND s.priority = a.priority AND s.status = a.status;
