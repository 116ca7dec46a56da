import type { Principal } from '../domain/keys/principal.ts'
import type { Scope } from '../store/ports.ts'

/** One call as a service sees it, whatever it came over. */
export interface Call {
  /** Names the call in logs and errors. */
  readonly requestId: string
  /** Who calls. Allowed to make this call already. */
  readonly principal: Principal
  /** Where the call acts. */
  readonly scope: Scope
  /**
   * Aborts when the caller has gone, its key has ended or the server stops; the reason is what to answer. Made on first
   * use: only calls that wait need it.
   */
  readonly signal: AbortSignal
}

type MessageOf<C> = C extends { decode(input: never, length?: number): infer T } ? T : never

/** What implements a generated service definition: one function for each method. */
export type ServiceOf<D extends { readonly methods: object }> = {
  readonly [M in keyof D['methods']]: D['methods'][M] extends {
    readonly requestType: infer Req
    readonly responseType: infer Res
    readonly requestStream: infer ReqStream
    readonly responseStream: infer ResStream
  }
    ? (
        request: ReqStream extends true ? AsyncIterable<MessageOf<Req>> : MessageOf<Req>,
        call: Call,
      ) => ResStream extends true ? AsyncIterable<MessageOf<Res>> : Promise<MessageOf<Res>>
    : never
}
