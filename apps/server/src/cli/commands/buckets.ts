import { BucketPolicy } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { CallError, type Command, UsageError } from '../command.ts'
import { limitFlag, pairsFlag, showTime } from '../values.ts'

const bucketArg = { name: 'BUCKET', help: 'the name of a bucket' }
const policyOption = { name: 'policy', placeholder: 'POLICY', help: 'Who may read its objects: private, or public-read for everybody.' }
const tagOption = { name: 'tag', placeholder: 'NAME=VALUE', help: 'A text of yours.', multiple: true }
const policies: Readonly<Record<string, BucketPolicy>> = { private: BucketPolicy.PRIVATE, 'public-read': BucketPolicy.PUBLIC_READ }
const policyName = (policy: BucketPolicy) => (policy === BucketPolicy.PUBLIC_READ ? 'public-read' : 'private')

function policyFlag(flags: Parameters<Command['run']>[0]['flags']): BucketPolicy {
  if (flags.policy === undefined) return BucketPolicy.UNSPECIFIED
  const policy = policies[String(flags.policy)]
  if (policy === undefined) throw new UsageError(`--policy: '${String(flags.policy)}' is neither private nor public-read`)
  return policy
}

const create: Command = {
  name: 'buckets create',
  summary: 'Make a bucket.',
  args: [bucketArg],
  options: [policyOption, tagOption, ...clientOptions],
  examples: [{ line: 'millrace buckets create raw --tag team=data', does: 'a bucket whose objects need a key' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const request = { bucket: words[0]!, policy: policyFlag(flags), tags: pairsFlag(flags, 'tag'), lifecycle: [] }
    using server = connect({ flags, env })
    const { bucket } = await server.objects.createBucket(request)
    if (flags.json) output.json({ ...bucket, policy: policyName(bucket!.policy) })
    else output.line(bucket!.name)
    return 0
  },
}

const list: Command = {
  name: 'buckets list',
  summary: 'List buckets.',
  options: [{ name: 'limit', placeholder: 'N', help: 'Most buckets shown.', default: '100' }, ...clientOptions],
  examples: [{ line: 'millrace buckets list', does: 'the buckets of the namespace' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { buckets, nextCursor } = await server.objects.listBuckets({ limit: limitFlag(flags, 100), cursor: '' })
    if (flags.json) for (const bucket of buckets) output.json({ ...bucket, policy: policyName(bucket.policy) })
    else {
      output.table(
        ['bucket', 'policy', 'created'],
        buckets.map((each) => [each.name, policyName(each.policy), showTime(each.createdAt)]),
      ) // prettier-ignore
      if (nextCursor !== '') output.remark('There are more; a larger --limit shows them.')
    }
    return 0
  },
}

const info: Command = {
  name: 'buckets info',
  summary: 'Show a bucket and what it holds.',
  args: [bucketArg],
  options: clientOptions,
  examples: [{ line: 'millrace buckets info raw', does: 'how many objects it has, and how large they are' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { bucket, objects, bytes, publicUrl } = await server.objects.getBucket({ bucket: words[0]! })
    const policy = policyName(bucket!.policy)
    if (flags.json) output.json({ ...bucket, policy, objects, bytes, publicUrl })
    else
      output.fields({
        bucket: bucket!.name,
        policy,
        objects,
        bytes,
        created: showTime(bucket!.createdAt),
        url: policy === 'private' ? '' : publicUrl,
      }) // prettier-ignore
    return 0
  },
}

const update: Command = {
  name: 'buckets update',
  summary: 'Change who may read a bucket, or its tags.',
  args: [bucketArg],
  options: [policyOption, { ...tagOption, help: 'One of all its tags from now on.' }, ...clientOptions],
  examples: [{ line: 'millrace buckets update site --policy public-read', does: 'everybody may read its objects' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const tags = flags.tag === undefined ? undefined : { tags: pairsFlag(flags, 'tag') }
    using server = connect({ flags, env })
    const { bucket } = await server.objects.updateBucket({ bucket: words[0]!, policy: policyFlag(flags), tags, lifecycle: undefined })
    if (flags.json) output.json({ ...bucket, policy: policyName(bucket!.policy) })
    else output.line(`${bucket!.name}: ${policyName(bucket!.policy)}`)
    return 0
  },
}

const remove: Command = {
  name: 'buckets delete',
  summary: 'Delete a bucket.',
  description: 'Deletes a bucket. Exit code 1 when it was not there, or has objects.',
  args: [bucketArg],
  options: [{ name: 'force', help: 'With all its objects.' }, ...clientOptions],
  examples: [{ line: 'millrace buckets delete raw --force', does: 'gone, with all that was in it' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.objects.deleteBucket({ bucket: words[0]!, force: flags.force === true })
    if (flags.json) output.json({ deleted })
    else if (deleted) output.line('deleted')
    else throw new CallError(`There is no bucket '${words[0]}'.`)
    return deleted ? 0 : 1
  },
}

/** `millrace buckets …` */
export const buckets: readonly Command[] = [create, list, info, update, remove]
