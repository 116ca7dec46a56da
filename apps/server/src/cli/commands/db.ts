import type { Command, Option } from '../command.ts'
import { storeOptions } from '../setting-options.ts'

const options: readonly Option[] = [...storeOptions, { name: 'json', help: 'One line of JSON instead of text.' }]

const check: Command = {
  name: 'db check',
  summary: "Compare a store's schema with this version's.",
  description:
    'Compares the tables and indexes of a store with those that this version makes, and changes nothing. Exit code 1 when they differ. A SQLite store must not be in use.',
  options,
  examples: [{ line: 'millrace db check --store postgres://…', does: 'before and after an upgrade' }],
  async run({ flags, env, output }) {
    const { withStore } = await import('../with-store.ts')
    return withStore({ flags, env }, async (store) => {
      const report = await store.checkSchema()
      const { version, expected, missing, unexpected } = report
      const same = version === expected && missing.length === 0 && unexpected.length === 0
      if (flags.json) output.json({ ...report, same })
      else {
        output.line(`${store.place} has schema version ${version || 'none'}, this millrace makes ${expected}.`)
        for (const line of missing) output.line(`  ${output.style('red', 'missing')}     ${line}`)
        for (const line of unexpected) output.line(`  ${output.style('yellow', 'unexpected')}  ${line}`)
        output.line(same ? output.style('green', 'They are the same.') : advice(version, expected))
      }
      return same ? 0 : 1
    })
  },
}

const migrate: Command = {
  name: 'db migrate',
  summary: "Bring a store's schema to this version's.",
  description:
    'Makes or changes the tables of a store, forward only. Safe to run from several machines at once, and while servers of this and the previous release run on Postgres; a SQLite store must not be in use. A server does the same when it starts.',
  options,
  examples: [{ line: 'millrace db migrate --store postgres://owner@…', does: 'as the user who owns the tables' }],
  async run({ flags, env, output }) {
    const { withStore } = await import('../with-store.ts')
    return withStore({ flags, env }, async (store) => {
      const from = await store.checkSchema().then(
        ({ version }) => version,
        // There is none yet; what else is wrong, migrating says.
        () => 0,
      )
      await store.migrate()
      const { version: to } = await store.checkSchema()
      if (flags.json) output.json({ from, to })
      else
        output.line(
          from === to ? `${store.place} has schema version ${to} already.` : `${store.place}: schema version ${from || 'none'} → ${to}.`,
        )
      return 0
    })
  },
}

/** `millrace db …` */
export const db: readonly Command[] = [check, migrate]

function advice(version: number, expected: number): string {
  if (version < expected) return 'Run `millrace db migrate`; a server does the same when it starts.'
  if (version > expected) return 'A newer millrace made it: use a newer one here.'
  return 'Somebody changed the tables. Put them right, or move what is in them: `millrace export`, then `millrace import` to an empty store.'
}
