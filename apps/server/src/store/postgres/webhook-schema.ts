const columns = 'tenant, namespace, webhook, seq, revision, event, at, data, state, attempts, next_at, code, answer, error'

/**
 * Webhooks, and what they are to send: written by triggers, so by the very transaction that ends a job or a pipeline, whoever ends
 * it and why. Where a tenant has no webhooks a trigger costs one look into an empty table.
 */
export const webhookSchema = `
  CREATE TABLE millrace.webhooks (
    tenant int NOT NULL, namespace text NOT NULL, name text COLLATE "C" NOT NULL, url text NOT NULL, events int NOT NULL,
    functions text NOT NULL, queues text NOT NULL, secret bytea NOT NULL, old_secret bytea, old_until bigint, created_at bigint NOT NULL,
    disabled_at bigint, disabled_why text NOT NULL, failing_since bigint,
    PRIMARY KEY (tenant, namespace, name)
  );
  CREATE TABLE millrace.webhook_deliveries (
    tenant int NOT NULL, namespace text NOT NULL, webhook text COLLATE "C" NOT NULL, seq bigint NOT NULL, revision int NOT NULL,
    event int NOT NULL, at bigint NOT NULL, data text NOT NULL, state smallint NOT NULL, attempts int NOT NULL, next_at bigint,
    attempted_at bigint, code int NOT NULL, answer text NOT NULL, error text NOT NULL,
    PRIMARY KEY (tenant, namespace, webhook, seq, revision)
  );
  CREATE INDEX webhook_deliveries_due ON millrace.webhook_deliveries (tenant, namespace, webhook, next_at) WHERE next_at IS NOT NULL;
  CREATE INDEX webhook_deliveries_age ON millrace.webhook_deliveries (tenant, namespace, webhook, at, seq, revision);
  CREATE INDEX webhook_deliveries_at ON millrace.webhook_deliveries (at);

  CREATE FUNCTION millrace.webhook_job(of_tenant int, of_lane int, seq bigint, revision int, into_state int, at bigint, attempts int,
    created_at bigint, labels text, error text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO millrace.webhook_deliveries (${columns})
    SELECT of_tenant, q.namespace, w.name, $3, $4, e.event, $6,
      json_build_object('function', l.function, 'queue', q.name, 'attempts', $7, 'createdAt', $8, 'labels', $9::json, 'error', $10::json)::text,
      1, 0, $6, 0, '', ''
    FROM millrace.lanes l
    JOIN millrace.queues q ON q.tenant = l.tenant AND q.queue = l.queue
    CROSS JOIN LATERAL (SELECT CASE WHEN l.function <> '' THEN 1 << (into_state - 5) WHEN into_state = 6 THEN 64 ELSE 0 END AS event) e
    JOIN millrace.webhooks w ON w.tenant = q.tenant AND w.namespace = q.namespace AND w.disabled_at IS NULL AND (w.events & e.event) <> 0
      AND (w.functions = '' OR l.function = '' OR strpos(w.functions, chr(10) || l.function || chr(10)) > 0)
      AND (w.queues = '' OR strpos(w.queues, chr(10) || q.name || chr(10)) > 0)
    WHERE l.tenant = of_tenant AND l.lane = of_lane
    ON CONFLICT DO NOTHING
  $$;

  CREATE FUNCTION millrace.webhook_ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM millrace.webhooks WHERE tenant = NEW.tenant) THEN
      PERFORM millrace.webhook_job(NEW.tenant, NEW.lane, NEW.seq, NEW.revision, NEW.state::int, NEW.updated_at, NEW.attempts, NEW.created_at,
        NEW.labels, CASE WHEN NEW.state = 6 THEN NEW.error END);
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER webhook_jobs AFTER UPDATE OF state ON millrace.jobs FOR EACH ROW
    WHEN (NEW.state >= 6 AND OLD.state < 5) EXECUTE FUNCTION millrace.webhook_ended();

  CREATE FUNCTION millrace.webhook_completed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM millrace.webhooks WHERE tenant = NEW.tenant) THEN
      PERFORM millrace.webhook_job(NEW.tenant, NEW.lane, NEW.seq, NEW.revision, 5, NEW.finished_at, NEW.attempts, NEW.created_at, NEW.labels, NULL);
    END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER webhook_jobs AFTER INSERT ON millrace.completed FOR EACH ROW EXECUTE FUNCTION millrace.webhook_completed();

  CREATE FUNCTION millrace.webhook_pipeline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO millrace.webhook_deliveries (${columns})
    SELECT NEW.tenant, NEW.namespace, w.name, NEW.seq, NEW.events, 8 << (NEW.state - 5), NEW.finished_at,
      json_build_object('name', NEW.name, 'stages', NEW.stage_count, 'createdAt', NEW.created_at, 'reason', NEW.reason)::text,
      1, 0, NEW.finished_at, 0, '', ''
    FROM millrace.webhooks w
    WHERE w.tenant = NEW.tenant AND w.namespace = NEW.namespace AND w.disabled_at IS NULL AND (w.events & (8 << (NEW.state - 5))) <> 0
    ON CONFLICT DO NOTHING;
    RETURN NULL;
  END $$;
  CREATE TRIGGER webhook_pipelines AFTER UPDATE OF state ON millrace.pipelines FOR EACH ROW
    WHEN (NEW.state >= 5 AND OLD.state < 5) EXECUTE FUNCTION millrace.webhook_pipeline();
`
