// Hooks: what must be known of a CronJob that a policy names.
import type { HookView } from '../model/observed.ts';
import { count, fields, text } from './raw.ts';

/** The view of one CronJob. */
export function hookView(raw: unknown): HookView {
  const metadata = fields(raw, 'metadata');
  const seconds = count(fields(raw, 'spec', 'jobTemplate', 'spec'), 'activeDeadlineSeconds');
  return {
    name: text(metadata, 'name'),
    uid: text(metadata, 'uid'),
    suspended: fields(raw, 'spec')['suspend'] === true,
    deadlineMs: seconds > 0 ? seconds * 1000 : undefined,
  };
}
