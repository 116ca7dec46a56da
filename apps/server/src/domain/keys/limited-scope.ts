import { MillraceError } from '../../errors.ts'
import type { Scope, Seq, TenantId } from '../../store/ports.ts'
import { functionOfLane } from '../jobs/attested.ts'

/** What of a namespace a token may touch: what is in every list that there is. */
export interface Resources {
  readonly tasks?: readonly Seq[]
  readonly queues?: readonly string[]
  readonly functions?: readonly string[]
}

/** What of a job decides whether a token may touch it. */
export interface Touched {
  /** Absent: a job to come. */
  readonly seq?: Seq
  readonly queue: string
  /** '' for plain queue jobs. */
  readonly function: string
}

/** Where a call with a token acts that may touch some things only. Whoever carries out calls has to ask it. */
export class LimitedScope implements Scope {
  readonly tenant: TenantId
  readonly namespace: string
  readonly resources: Resources

  constructor(tenant: TenantId, namespace: string, resources: Resources) {
    this.tenant = tenant
    this.namespace = namespace
    this.resources = resources
  }

  /** True when the token may touch this job. */
  covers({ seq, queue, function: name }: Touched): boolean {
    const { tasks, queues, functions } = this.resources
    if (tasks && (seq === undefined || !tasks.includes(seq))) return false
    return (queues?.includes(queue) ?? true) && (functions?.includes(functionOfLane(name)) ?? true)
  }

  /** What is answered to a call that goes further than the token. */
  refusal(what: string): MillraceError {
    const { tasks, queues, functions } = this.resources
    const within = [
      ...(tasks ? [`${tasks.length} task${tasks.length > 1 ? 's' : ''}`] : []),
      ...(queues ? [`the queues ${queues.join(', ')}`] : []),
      ...(functions ? [`the functions ${functions.join(', ')}`] : []),
    ]
    return new MillraceError('PERMISSION_DENIED', `This token is for ${within.join(' and ')} only: it may not ${what}.`)
  }
}

/** Refuses a call of a token that is for some things only. @param what - what it may not do. */
export function requireWhole(scope: Scope, what: string): void {
  if (scope instanceof LimitedScope) throw scope.refusal(what)
}
