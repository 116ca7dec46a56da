/** Limits on starts: what a job comes to, the places that are taken, and when the next is given back. */
export const rateSchema = `
  ALTER TABLE flows ADD COLUMN rate_gate TEXT;
  ALTER TABLE flows ADD COLUMN rate_limit INTEGER;
  ALTER TABLE flows ADD COLUMN rate_ms INTEGER;
  ALTER TABLE flows ADD COLUMN rate_line INTEGER;
  CREATE INDEX flows_rate_line ON flows (tenant, rate_gate, rate_line, seq) WHERE rate_line IS NOT NULL;
  ALTER TABLE gates ADD COLUMN due_at INTEGER;
  CREATE INDEX gates_due ON gates (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE rate_places (
    tenant INTEGER NOT NULL, gate TEXT NOT NULL, until INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, gate, until, seq)
  ) WITHOUT ROWID;
  CREATE INDEX rate_places_until ON rate_places (until);
`

/** Jobs that stand for several requests, and when jobs end that have not begun. */
export const triggerSchema = `
  CREATE TABLE triggers (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, queue TEXT NOT NULL, function TEXT NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL,
    seq INTEGER NOT NULL, first_at INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, queue, function, kind, key)
  ) WITHOUT ROWID;
  CREATE INDEX triggers_until ON triggers (until);
  CREATE TABLE expiries (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (tenant, seq)
  ) WITHOUT ROWID;
  CREATE INDEX expiries_at ON expiries (at);
`

/** Brings jobs that took turns before they could have limits to {@link turnSchema}: those of the database, and of archives made before it. */
export const turnsOfBefore = `
  UPDATE flows SET turn_gate = 'turn' || substr(gate, 5), stands = CASE WHEN line IS NULL THEN NULL ELSE 'turn' || substr(gate, 5) END,
    gate = '', line = NULL WHERE fair_key IS NOT NULL AND gate LIKE 'fair %';
  UPDATE gates SET gate = 'turn' || substr(gate, 5) WHERE gate LIKE 'fair %';
  UPDATE fair_keys SET gate = 'turn' || substr(gate, 5) WHERE gate LIKE 'fair %';
`

/** Jobs that take turns may have limits besides: the gate of turns is one of several, and lines are wherever they wait. */
export const turnSchema = `
  ALTER TABLE flows ADD COLUMN turn_gate TEXT;
  ALTER TABLE flows ADD COLUMN stands TEXT;
  DROP INDEX flows_fair;
  ${turnsOfBefore}
  CREATE INDEX flows_stands ON flows (tenant, stands, fair_key, place, seq) WHERE stands IS NOT NULL;
`

/** Jobs that take turns by their keys. */
export const fairSchema = `
  ALTER TABLE flows ADD COLUMN fair_key TEXT;
  ALTER TABLE flows ADD COLUMN fair_turn INTEGER;
  CREATE INDEX flows_fair ON flows (tenant, gate, fair_key, line, seq) WHERE fair_key IS NOT NULL AND line IS NOT NULL;
  ALTER TABLE gates ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE fair_keys (
    tenant INTEGER NOT NULL, gate TEXT NOT NULL, key TEXT NOT NULL, turn INTEGER NOT NULL,
    PRIMARY KEY (tenant, gate, key)
  ) WITHOUT ROWID;
  CREATE INDEX fair_keys_turn ON fair_keys (tenant, gate, turn, key);
`
