import { invalid } from '../../errors.ts'
import { changesChannel, type ResultBounds, SqlError, type TableConnection } from './backend.ts'
import { changesTable, watchedTable } from './catalog.ts'
import { lockingTransaction } from './changes.ts'
import { quoted } from './identifiers.ts'
import { transaction } from './namespaces.ts'

/**
 * The log of changes. Triggers of a table that somebody watches note each change of a row in a table of the namespace's own
 * schema, in the transaction that makes it. The log is its owner's, as the tables are; users reach neither it nor what writes it.
 *
 * Transactions do not commit in the order in which they note things. So a place in the log is no number but a snapshot of
 * Postgres's: what it shows has been read, and what a later one shows beside that comes next. So nothing is skipped and
 * nothing waits for a long transaction. Changes of one row are noted under the row's lock, so their order is right.
 */

const logFunction = 'millrace_note_change'
const rowTrigger = 'millrace_row_changes'
const truncateTrigger = 'millrace_truncations'
/** Changes are kept at least so long, and a table whose watchers have gone is followed so long: in time to come back. In minutes. */
const keepMinutes = 15
/** A log that is larger than this, in bytes, is kept for a minute or two alone. */
const largeLog = 256 << 20
/** Changes of one read, and bytes of rows after which it ends. */
const mostRead = 500
const bytesRead = 1 << 20
/** One change may be larger than that. */
const readBounds: ResultBounds = { rows: 1, bytes: 64 << 20 }

/** A place in the log of a table. */
export interface ChangeCursor {
  /** Names the time in which the table was followed without a gap. */
  readonly watch: string
  /** All that this snapshot shows was read. */
  readonly from: string
  /** What is being read: what this snapshot shows beside; '' when nothing is. */
  readonly to: string
  /** Of that, the last one that was read; 0 for none. */
  readonly seq: number
}

const cursorPattern = /^(\d{1,19})\.(\d+:\d+:[\d,]*)\.((?:\d+:\d+:[\d,]*)?)\.(\d{1,15})$/

/** A cursor as text. */
export function writeCursor({ watch, from, to, seq }: ChangeCursor): string {
  return `${watch}.${from}.${to}.${seq}`
}

/** Reads a cursor. @throws VALIDATION */
export function readCursor(path: string, text: string): ChangeCursor {
  const match = cursorPattern.exec(text)
  if (!match) throw invalid(path, 'is not a cursor that came with a change')
  const [, watch = '', from = '', to = '', seq = ''] = match
  return { watch, from, to, seq: Number(seq) }
}

/** A table that is followed. */
export interface FollowedTable {
  /** Its number among Postgres's relations: its name may change. */
  readonly oid: string
  readonly watch: string
}

const lease = `pg_catalog.now() + interval '${keepMinutes} minutes'`

/** Makes the log, when the schema has none. */
async function makeLog(connection: TableConnection, schema: string): Promise<void> {
  const at = (name: string) => `${quoted(schema)}.${quoted(name)}`
  const { rows } = await connection.query('SELECT FROM pg_catalog.pg_proc WHERE proname = $1 AND pronamespace = $2::regnamespace', [
    logFunction,
    quoted(schema),
  ])
  if (rows.length > 0) return
  await transaction(connection, async () => {
    await connection.query(
      `CREATE TABLE IF NOT EXISTS ${at(watchedTable)} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, relation oid NOT NULL UNIQUE,
       until timestamptz NOT NULL, floor pg_snapshot, mark pg_snapshot, marked_at timestamptz)`,
    )
    await connection.query(
      `CREATE TABLE IF NOT EXISTS ${at(changesTable)} (watch bigint, seq bigint GENERATED ALWAYS AS IDENTITY, xid xid8 NOT NULL DEFAULT
       pg_catalog.pg_current_xact_id(), at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), old json, new json, PRIMARY KEY (watch, seq))`,
    )
    await connection.query(`CREATE INDEX IF NOT EXISTS ${changesTable}_xid ON ${at(changesTable)} (watch, xid)`)
    for (const table of [watchedTable, changesTable]) {
      await connection.query(`REVOKE ALL ON ${at(table)} FROM PUBLIC, ${quoted(`${schema}_user`)}`)
      // Whatever its owner grants: users see no rows of it, and add none.
      await connection.query(`ALTER TABLE ${at(table)} ENABLE ROW LEVEL SECURITY`)
    }
    // With the owner's rights, for a user who changes a row has none on the log. No watcher for long: nothing is noted.
    await connection.query(
      `CREATE OR REPLACE FUNCTION ${at(logFunction)}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$
       BEGIN
         IF EXISTS (SELECT FROM ${at(watchedTable)} WHERE id = TG_ARGV[0]::bigint AND until <= now()) THEN RETURN NULL; END IF;
         IF TG_OP = 'INSERT' THEN
           INSERT INTO ${at(changesTable)} (watch, new) VALUES (TG_ARGV[0]::bigint, row_to_json(NEW));
         ELSIF TG_OP = 'UPDATE' THEN
           INSERT INTO ${at(changesTable)} (watch, old, new) VALUES (TG_ARGV[0]::bigint, row_to_json(OLD), row_to_json(NEW));
         ELSIF TG_OP = 'DELETE' THEN
           INSERT INTO ${at(changesTable)} (watch, old) VALUES (TG_ARGV[0]::bigint, row_to_json(OLD));
         ELSE
           INSERT INTO ${at(changesTable)} (watch) VALUES (TG_ARGV[0]::bigint);
         END IF;
         PERFORM pg_notify('${changesChannel}', '${schema}');
         RETURN NULL;
       END $note$`,
    )
    await connection.query(`REVOKE ALL ON FUNCTION ${at(logFunction)}() FROM PUBLIC, ${quoted(`${schema}_user`)}`)
  }).catch((error) => {
    // Another server was faster.
    if (!(error instanceof SqlError && /^(23505|42P07|42710|XX000)$/.test(error.code))) throw error
  })
}

/**
 * Has the changes of a table noted.
 *
 * @param connection - of the tables' owner.
 * @throws NOT_FOUND by Postgres's error, VALIDATION when it is no table, UNAVAILABLE when it is locked for too long.
 */
export async function followChanges(connection: TableConnection, schema: string, table: string): Promise<FollowedTable> {
  const { rows } = await connection.query(
    `SELECT c.oid, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) = current_user FROM pg_catalog.pg_class c
     WHERE c.relname = $1 AND c.relnamespace = $2::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    [table, quoted(schema)],
  )
  if (!rows[0]) throw new SqlError({ message: `relation "${table}" does not exist`, code: '42P01' })
  const [oid, kind, mine] = rows[0]
  if ((kind !== 'r' && kind !== 'p') || mine !== 't')
    throw invalid('table', `'${table}' is not a table whose changes can be told; watch its rows instead`)
  await makeLog(connection, schema)
  await dropForgotten(connection, schema)
  const [watched, log] = [`${quoted(schema)}.${watchedTable}`, `${quoted(schema)}.${changesTable}`]
  const { rows: known } = await connection.query(
    `UPDATE ${watched} w SET until = ${lease} WHERE w.relation = $1::oid AND w.until > pg_catalog.now() AND w.floor IS NOT NULL
     AND pg_catalog.pg_snapshot_xmax(w.floor) <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
     AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = w.relation AND t.tgname IN ('${rowTrigger}', '${truncateTrigger}')
       AND pg_catalog.encode(t.tgargs, 'escape') = w.id || '\\000' AND t.tgenabled = 'O') RETURNING w.id`,
    [oid!],
  )
  if (known[0]) return { oid: oid!, watch: known[0][0]! }
  const watch = await lockingTransaction(connection, table, async () => {
    const name = `${quoted(schema)}.${quoted(table)}`
    await connection.query(`LOCK TABLE ${name} IN SHARE ROW EXCLUSIVE MODE`)
    // Of an earlier time, after which there was a gap.
    await connection.query(`DELETE FROM ${log} USING ${watched} w WHERE watch = w.id AND w.relation = $1::oid`, [oid!])
    await connection.query(`DELETE FROM ${watched} WHERE relation = $1::oid`, [oid!])
    const { rows: made } = await connection.query(`INSERT INTO ${watched} (relation, until) VALUES ($1::oid, ${lease}) RETURNING id`, [
      oid!,
    ])
    const call = `EXECUTE FUNCTION ${quoted(schema)}.${logFunction}('${made[0]![0]}')`
    await connection.query(`CREATE OR REPLACE TRIGGER ${rowTrigger} AFTER INSERT OR UPDATE OR DELETE ON ${name} FOR EACH ROW ${call}`)
    await connection.query(`CREATE OR REPLACE TRIGGER ${truncateTrigger} AFTER TRUNCATE ON ${name} FOR EACH STATEMENT ${call}`)
    return made[0]![0]!
  })
  // All that is committed from here on is noted.
  await connection.query(
    `UPDATE ${watched} SET floor = pg_catalog.pg_current_snapshot(), mark = pg_catalog.pg_current_snapshot(), marked_at = pg_catalog.now()
     WHERE id = $1 AND floor IS NULL`,
    [watch],
  )
  return { oid: oid!, watch }
}

/** Keeps a table followed, and forgets changes that are old. False when it is followed no longer, or gone. */
export async function keepFollowing(connection: TableConnection, schema: string, { oid, watch }: FollowedTable): Promise<boolean> {
  const [watched, log] = [`${quoted(schema)}.${watchedTable}`, `${quoted(schema)}.${changesTable}`]
  const { affected } = await connection.query(
    `UPDATE ${watched} SET until = ${lease} WHERE id = $1 AND until > pg_catalog.now() AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = $2::oid)`,
    [watch, oid],
  )
  if (affected === 0) return false
  await connection.query(
    `WITH due AS (
       SELECT id, mark FROM ${watched} WHERE id = $1 AND marked_at < pg_catalog.now() -
         CASE WHEN pg_catalog.pg_table_size('${log.replaceAll("'", "''")}') > ${largeLog} THEN interval '1 minute' ELSE interval '${keepMinutes} minutes' END FOR UPDATE),
     gone AS (DELETE FROM ${log} l USING due WHERE l.watch = due.id AND l.xid < pg_catalog.pg_snapshot_xmax(due.mark)
       AND pg_catalog.pg_visible_in_snapshot(l.xid, due.mark))
     UPDATE ${watched} w SET floor = due.mark, mark = pg_catalog.pg_current_snapshot(), marked_at = pg_catalog.now() FROM due WHERE w.id = due.id`,
    [watch],
  )
  return true
}

/** Ends what nobody has watched for long: its triggers and what they noted. What is locked now is left for the next time. */
export async function dropForgotten(connection: TableConnection, schema: string): Promise<void> {
  const [watched, log] = [`${quoted(schema)}.${watchedTable}`, `${quoted(schema)}.${changesTable}`]
  const { rows } = await connection.query(
    `SELECT w.id, w.relation, c.relname FROM ${watched} w
     LEFT JOIN pg_catalog.pg_class c ON c.oid = w.relation AND c.relnamespace = $1::regnamespace WHERE w.until <= pg_catalog.now()`,
    [quoted(schema)],
  )
  for (const [id, , table] of rows) {
    await transaction(connection, async () => {
      await connection.query(`SET LOCAL lock_timeout = 200`)
      const { affected } = await connection.query(`DELETE FROM ${watched} WHERE id = $1 AND until <= pg_catalog.now()`, [id!])
      if (affected === 0) return
      await connection.query(`DELETE FROM ${log} WHERE watch = $1`, [id!])
      if (table === null || table === undefined) return
      for (const trigger of [rowTrigger, truncateTrigger])
        await connection.query(`DROP TRIGGER IF EXISTS ${trigger} ON ${quoted(schema)}.${quoted(table)}`)
    }).catch((error) => {
      if (!(error instanceof SqlError && /^(55P03|42P01|40P01)$/.test(error.code))) throw error
    })
  }
}

/** What a read of the log gave. */
export interface ReadChanges {
  /** What it showed. */
  readonly now: string
  /** False: changes after the cursor are not kept any more. */
  readonly whole: boolean
  /** Numbers of the changes, when they were made, in milliseconds since 1970, and whether the table was emptied. */
  readonly heads: readonly (readonly [seq: number, at: number, emptied: boolean])[]
  /** The rows as they were and are, as a JSON list of objects with `seq`, `old` and `new`. */
  readonly images: string
}

/** Reads the changes after a cursor; undefined when the table is followed no longer. */
export async function readChanges(
  connection: TableConnection,
  schema: string,
  { watch, from, to, seq }: ChangeCursor,
): Promise<ReadChanges | undefined> {
  const log = `${quoted(schema)}.${changesTable}`
  const unread = `watch = $1 AND NOT pg_catalog.pg_visible_in_snapshot(xid, $2::pg_snapshot)`
  const { rows } = await connection.query(
    `SELECT pg_catalog.pg_current_snapshot(),
       pg_catalog.pg_snapshot_xmax($2::pg_snapshot) >= pg_catalog.pg_snapshot_xmax(w.floor) AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_snapshot_xip($2::pg_snapshot) x WHERE pg_catalog.pg_visible_in_snapshot(x, w.floor)),
       b.heads, b.images
     FROM ${quoted(schema)}.${watchedTable} w CROSS JOIN LATERAL (
       SELECT pg_catalog.json_agg(pg_catalog.json_build_array(seq, at, old IS NULL AND new IS NULL) ORDER BY seq) AS heads,
         pg_catalog.json_agg(pg_catalog.json_build_object('seq', seq, 'old', old, 'new', new) ORDER BY seq) AS images
       FROM (
         SELECT l.*, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (
           SELECT seq, (extract(epoch FROM at) * 1000)::bigint AS at, old, new,
             coalesce(pg_catalog.octet_length(old::text), 0) + coalesce(pg_catalog.octet_length(new::text), 0) AS bytes
           FROM ${log} WHERE ${unread} AND ($3 = '' OR pg_catalog.pg_visible_in_snapshot(xid, nullif($3, '')::pg_snapshot)) AND seq > $4::bigint
             AND seq >= (SELECT min(seq) FROM ${log} WHERE ${unread} AND xid >= pg_catalog.pg_snapshot_xmin($2::pg_snapshot))
           ORDER BY seq LIMIT ${mostRead}) l) s
       WHERE before < ${bytesRead}) b
     WHERE w.id = $1 AND w.floor IS NOT NULL`,
    [watch, from, to, String(seq)],
    readBounds,
  )
  if (!rows[0]) return undefined
  const [now, whole, heads, images] = rows[0]
  return { now: now!, whole: whole === 't', heads: heads === null ? [] : JSON.parse(heads!), images: images ?? '[]' }
}
