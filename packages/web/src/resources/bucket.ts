import { Bucket } from '@millrace/core/adapter'
import {
  abortUpload,
  completeUpload,
  copyObject,
  createBucket,
  createUpload,
  deleteBucket,
  deleteObjects,
  getBucket,
  listObjects,
  listParts,
  listUploads,
  presignObject,
  statObject,
  updateBucket,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.bucket(name)`: one bucket of objects. */
export const bucket: Resource<(name: string) => Bucket> = {
  routes: [
    abortUpload,
    completeUpload,
    copyObject,
    createBucket,
    createUpload,
    deleteBucket,
    deleteObjects,
    getBucket,
    listObjects,
    listParts,
    listUploads,
    presignObject,
    statObject,
    updateBucket,
  ],
  create: (context) => (name) => new Bucket(context, name),
}
