import type { DatabaseSync } from 'node:sqlite'

const columns = 'tenant, namespace, webhook, seq, revision, event, at, data, state, attempts, next_at, code, answer, error'

/**
 * Webhooks, and what they are to send: written by triggers, so by the very transaction that ends a job or a pipeline, whoever ends
 * it and why. They are there while there are webhooks: an update that could set one off costs half as much again.
 */
export const webhookSchema = `
  CREATE TABLE webhooks (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, events INTEGER NOT NULL,
    functions TEXT NOT NULL, queues TEXT NOT NULL, secret BLOB NOT NULL, old_secret BLOB, old_until INTEGER, created_at INTEGER NOT NULL,
    disabled_at INTEGER, disabled_why TEXT NOT NULL, failing_since INTEGER,
    PRIMARY KEY (tenant, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE webhook_deliveries (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, webhook TEXT NOT NULL, seq INTEGER NOT NULL, revision INTEGER NOT NULL,
    event INTEGER NOT NULL, at INTEGER NOT NULL, data TEXT NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER,
    attempted_at INTEGER, code INTEGER NOT NULL, answer TEXT NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (tenant, namespace, webhook, seq, revision)
  );
  CREATE INDEX webhook_deliveries_due ON webhook_deliveries (tenant, namespace, webhook, next_at) WHERE next_at IS NOT NULL;
  CREATE INDEX webhook_deliveries_age ON webhook_deliveries (tenant, namespace, webhook, at, seq, revision);
  CREATE INDEX webhook_deliveries_at ON webhook_deliveries (at);
`

/** What writes deliveries. */
export const webhookTriggers = `
  CREATE TRIGGER webhook_jobs AFTER UPDATE OF state ON jobs
  WHEN NEW.state >= 5 AND OLD.state < 5 AND EXISTS (SELECT 1 FROM webhooks WHERE tenant = NEW.tenant)
  BEGIN
    INSERT OR IGNORE INTO webhook_deliveries (${columns})
    SELECT NEW.tenant, q.namespace, w.name, NEW.seq, NEW.revision, e.event, NEW.updated_at,
      json_object('function', l.function, 'queue', q.name, 'attempts', NEW.attempts, 'createdAt', NEW.created_at,
        'labels', json(NEW.labels), 'error', CASE WHEN NEW.state = 6 THEN json(NEW.error) END),
      1, 0, NEW.updated_at, 0, '', ''
    FROM lanes l
    JOIN queues q ON q.tenant = l.tenant AND q.queue = l.queue
    JOIN (SELECT 1 AS task, 1 << (NEW.state - 5) AS event UNION ALL SELECT 0, CASE WHEN NEW.state = 6 THEN 64 ELSE 0 END) e
      ON e.task = (l.function <> '')
    JOIN webhooks w ON w.tenant = q.tenant AND w.namespace = q.namespace AND w.disabled_at IS NULL AND (w.events & e.event) <> 0
      AND (w.functions = '' OR l.function = '' OR instr(w.functions, char(10) || l.function || char(10)) > 0)
      AND (w.queues = '' OR instr(w.queues, char(10) || q.name || char(10)) > 0)
    WHERE l.tenant = NEW.tenant AND l.lane = NEW.lane;
  END;

  CREATE TRIGGER webhook_pipelines AFTER UPDATE OF state ON pipelines
  WHEN NEW.state >= 5 AND OLD.state < 5 AND EXISTS (SELECT 1 FROM webhooks WHERE tenant = NEW.tenant)
  BEGIN
    INSERT OR IGNORE INTO webhook_deliveries (${columns})
    SELECT NEW.tenant, NEW.namespace, w.name, NEW.seq, NEW.events, 8 << (NEW.state - 5), NEW.finished_at,
      json_object('name', NEW.name, 'stages', NEW.stage_count, 'createdAt', NEW.created_at, 'reason', NEW.reason),
      1, 0, NEW.finished_at, 0, '', ''
    FROM webhooks w
    WHERE w.tenant = NEW.tenant AND w.namespace = NEW.namespace AND w.disabled_at IS NULL AND (w.events & (8 << (NEW.state - 5))) <> 0;
  END;
`

/** Has the triggers while there are webhooks, and no others. */
export function armWebhooks(db: DatabaseSync): void {
  const { wanted, armed } = db
    .prepare("SELECT EXISTS (SELECT 1 FROM webhooks) AS wanted, EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'webhook_jobs') AS armed")
    .get() as { wanted: number; armed: number }
  if (wanted && !armed) db.exec(webhookTriggers)
  else if (armed && !wanted) db.exec('DROP TRIGGER webhook_jobs; DROP TRIGGER webhook_pipelines')
}
