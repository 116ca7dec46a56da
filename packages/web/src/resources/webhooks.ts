import { Webhooks } from '@millrace/core/adapter'
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhookDeliveries,
  listWebhooks,
  redeliverWebhook,
  rotateWebhookSecret,
  testWebhook,
  updateWebhook,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.webhooks`: where events are sent to. */
export const webhooks: Resource<Webhooks> = {
  routes: [
    createWebhook,
    deleteWebhook,
    getWebhook,
    listWebhookDeliveries,
    listWebhooks,
    redeliverWebhook,
    rotateWebhookSecret,
    testWebhook,
    updateWebhook,
  ],
  create: (context) => new Webhooks(context),
}
