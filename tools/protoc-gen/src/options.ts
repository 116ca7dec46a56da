import {
  type AnyDesc,
  createRegistry,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMethod,
  getOption,
  hasOption,
  type Registry,
  ScalarType,
} from '@bufbuild/protobuf'

/** One way to reach a method over HTTP. */
export interface Binding {
  readonly verb: string
  /** With the variables' names as in JSON: `/v1/tasks/{taskId}`. */
  readonly template: string
  /** `'*'`, a field, or '' when there is no body. */
  readonly body: string
}

/** `google.api.HttpRule` as it is read. */
interface HttpRule {
  readonly pattern:
    | { readonly case: 'get' | 'put' | 'post' | 'delete' | 'patch'; readonly value: string }
    | { readonly case: 'custom'; readonly value: unknown }
    | { readonly case: undefined; readonly value?: undefined }
  readonly body: string
  readonly responseBody: string
  readonly additionalBindings: readonly HttpRule[]
}

/** Reads the options that the protos import. */
export class Options {
  readonly #registry: Registry

  /** @param files - every file of the request. */
  constructor(files: readonly DescFile[]) {
    this.#registry = createRegistry(...files)
  }

  /** Every way to reach a method, the annotated one first; none when it has no annotation. */
  bindings(method: DescMethod): Binding[] {
    const rule = this.#read<HttpRule>(method, 'google.api.http')
    if (!rule) return []
    return [rule, ...rule.additionalBindings].map((one) => this.#binding(method, one))
  }

  /** The field that holds a payload's content type, as in JSON; '' when the field is no payload. */
  payload(field: DescField): string {
    const name = this.#read<{ readonly contentType: string }>(field, 'millrace.v1.payload')?.contentType
    if (name !== undefined) return fieldNamed(field.parent.fields, name, `${field}`).jsonName
    if (
      field.scalar === ScalarType.BYTES &&
      field.parent.fields.some((other) => other.name === 'content_type' || other.name === `${field.name}_content_type`)
    ) {
      throw new Error(`${field} has a content type beside it: say [(millrace.v1.payload) = {content_type: "…"}]`)
    }
    return ''
  }

  /** How a stream's events are numbered: `id>resume`, and the fields that `resume` replaces; '' when they are not. */
  events(method: DescMethod): string {
    const events = this.#read<{ readonly id: string; readonly resume: string; readonly insteadOf: readonly string[] }>(
      method,
      'millrace.v1.events',
    )
    if (!events) return ''
    let fields = method.output.fields
    const path = events.id.split('.').map((name) => {
      const field = fieldNamed(fields, name, `${method}: events.id`)
      fields = field.message?.fields ?? []
      return field.jsonName
    })
    const taken = [events.resume, ...events.insteadOf].map((name) => fieldNamed(method.input.fields, name, `${method}: events`).jsonName)
    return [path.join('.'), ...taken].join('>')
  }

  #binding(method: DescMethod, rule: HttpRule): Binding {
    const { pattern } = rule
    if (pattern.case === undefined || pattern.case === 'custom')
      throw new Error(`${method}: only get, put, post, delete and patch have routes`)
    if (rule.responseBody !== '') throw new Error(`${method}: response_body is not supported`)
    const template = pattern.value.replace(/\{([^}]*)\}/g, (_, name: string) => {
      const field = fieldNamed(method.input.fields, name, `${method}: ${pattern.value}`)
      if (field.fieldKind !== 'scalar' && field.fieldKind !== 'enum') throw new Error(`${method}: {${name}} is not a single value`)
      return `{${field.jsonName}}`
    })
    if (!/^(\/([\w.~-]+|\{\w+\}))+(:\w+)?$/.test(template)) throw new Error(`${method}: ${template} is not a path of words and variables`)
    const body = rule.body === '' || rule.body === '*' ? rule.body : fieldNamed(method.input.fields, rule.body, `${method}: body`).jsonName
    return { verb: pattern.case.toUpperCase(), template, body }
  }

  #read<T>(of: DescField | DescMethod, name: string): T | undefined {
    const extension = this.#registry.getExtension(name)
    return extension && hasOption<DescExtension, AnyDesc>(of, extension)
      ? (getOption<DescExtension, AnyDesc>(of, extension) as T)
      : undefined
  }
}

function fieldNamed(fields: readonly DescField[], name: string, where: string): DescField {
  const field = fields.find((one) => one.name === name)
  if (!field) throw new Error(`${where}: there is no field '${name}'`)
  return field
}
