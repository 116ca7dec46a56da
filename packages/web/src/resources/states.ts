import { States } from '@millrace/core/adapter'
import { deleteState, getState, listStates } from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.states`: what stateful tasks remember. */
export const states: Resource<States> = { routes: [deleteState, getState, listStates], create: (context) => new States(context) }
