import type { ApiKey } from '@millrace/protocol'
import { apiScopes } from '../../domain/keys/api-scopes.ts'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import type { Cell } from '../output.ts'
import { durationFlag, integerFlag, showTime, textFlag } from '../values.ts'

const tenantOption = { name: 'tenant', placeholder: 'NAME', help: "The tenant. Another than the key's own needs the scope root." }

const create: Command = {
  name: 'keys create',
  summary: 'Make an API key and show it, this once.',
  args: [{ name: 'NAME', help: 'a name for people' }],
  options: [
    {
      name: 'scope',
      placeholder: 'SCOPE',
      help: `What it may do: ${apiScopes.join(', ')}. Default: all but admin and root.`,
      multiple: true,
    },
    { name: 'allow-namespace', placeholder: 'NAME', help: 'A namespace it may use. Default: all.', multiple: true },
    { name: 'rate-limit', placeholder: 'N', help: 'Calls per second that each server takes from it and its tokens. Default: any number.' },
    { name: 'expires', placeholder: 'TIME', help: 'How long it is valid, such as 30d. Default: until it is revoked.' },
    tenantOption,
    ...clientOptions,
  ],
  examples: [
    { line: 'millrace keys create worker-1 --scope workers', does: 'a key that can only run jobs' },
    { line: 'millrace keys create acme --tenant acme --scope admin', does: "the first key of another tenant's administrator" },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const lifetime = durationFlag(flags, 'expires')
    using server = connect({ flags, env })
    const { key, secret } = await server.keys.createKey({
      name: words[0]!,
      tenant: textFlag(flags, 'tenant') ?? '',
      scopes: [...((flags.scope as readonly string[] | undefined) ?? [])],
      namespaces: [...((flags['allow-namespace'] as readonly string[] | undefined) ?? [])],
      rateLimit: integerFlag(flags, 'rate-limit'),
      expiresAt: lifetime > 0 ? new Date(Date.now() + lifetime) : undefined,
    })
    if (flags.json) output.json({ ...key, secret })
    else {
      output.line(secret)
      output.remark(`Key ${key!.keyId} of tenant ${key!.tenant}, for ${key!.scopes.join(', ')}. It is shown this once: keep it.`)
    }
    return 0
  },
}

const list: Command = {
  name: 'keys list',
  summary: 'List API keys, without their secrets.',
  options: [tenantOption, ...clientOptions],
  examples: [{ line: 'millrace keys list', does: 'which keys there are, and which have ended' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { keys } = await server.keys.listKeys({ tenant: textFlag(flags, 'tenant') ?? '' })
    if (flags.json) for (const key of keys) output.json(key)
    else {
      const rows = keys.map((key): Cell[] => [
        key.keyId,
        key.name,
        `${key.hint}…`,
        statusOf(key),
        key.scopes.join(' '),
        key.rateLimit > 0 ? `${key.rateLimit}/s` : 'none',
        showTime(key.createdAt),
      ])
      output.table(['key', 'name', 'secret', 'status', 'scopes', 'limit', 'created'], rows)
    }
    return 0
  },
}

const revoke: Command = {
  name: 'keys revoke',
  summary: 'End an API key at once.',
  args: [{ name: 'KEY_ID', help: 'the id of a key, key_…' }],
  options: [tenantOption, ...clientOptions],
  examples: [{ line: 'millrace keys revoke key_00000000003', does: 'its open streams end too' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { key } = await server.keys.revokeKey({ keyId: words[0]!, tenant: textFlag(flags, 'tenant') ?? '' })
    if (flags.json) output.json(key)
    else output.line(`${key!.keyId} revoked`)
    return 0
  },
}

/** `millrace keys …` */
export const keys: readonly Command[] = [create, list, revoke]

function statusOf({ revokedAt, expiresAt }: ApiKey): Cell {
  if (revokedAt) return { text: 'revoked', style: 'red' }
  if (!expiresAt) return { text: 'active', style: 'green' }
  return expiresAt.getTime() <= Date.now() ? { text: 'expired', style: 'yellow' } : { text: `until ${showTime(expiresAt)}`, style: 'green' }
}
