import { expect, it } from 'vitest'
import { readObjectsPlace } from './objects-place.ts'

it.each([
  ['disk:', { kind: 'disk', folder: '' }],
  ['disk:/var/objects', { kind: 'disk', folder: '/var/objects' }],
  ['s3://raw', { kind: 's3', bucket: 'raw', prefix: '', pathStyle: false }],
  ['s3://raw/a/b/?region=eu-west-1', { kind: 's3', bucket: 'raw', prefix: 'a/b/', region: 'eu-west-1', pathStyle: false }],
  [
    's3://raw?endpoint=http://localhost:9000',
    { kind: 's3', bucket: 'raw', prefix: '', endpoint: 'http://localhost:9000/', pathStyle: true },
  ],
  [
    's3://raw?endpoint=https%3A%2F%2Fs3.example.com&pathStyle=false',
    { kind: 's3', bucket: 'raw', prefix: '', endpoint: 'https://s3.example.com/', pathStyle: false },
  ],
])('%s is a place for objects', (text, place) => {
  expect(readObjectsPlace(text)).toEqual(place)
})

it.each([
  ['disk://host/x', /not a place for objects/],
  ['/var/objects', /not a place for objects/],
  ['s3:raw', /not a place for objects/],
  ['s3://', /names no bucket/],
  ['s3://Raw', /names no bucket/],
  ['s3://raw:9000', /names no bucket/],
  ['s3://id:hidden@raw', /has credentials/],
  ['s3://raw?endpoint=http://id:hidden@localhost', /endpoint is not the URL of a server/],
  ['s3://raw?endpoint=localhost:9000', /endpoint is not the URL of a server/],
  ['s3://raw?secretKey=hidden', /unknown parameter, 'secretKey'/],
  ['s3://raw?pathStyle=yes', /pathStyle is neither true nor false/],
  ['s3://raw/a b', /the prefix may have/],
])('%s is none, and why is said without it', (text, why) => {
  expect(() => readObjectsPlace(text)).toThrow(why)
  expect(() => readObjectsPlace(text)).toThrow(/s3:\/\/BUCKET.*AWS_ACCESS_KEY_ID/)
  expect(() => readObjectsPlace(text)).not.toThrow(/hidden/)
})
