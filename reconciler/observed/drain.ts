// What a drain must know beside pods: attached volumes, and virtual machines of KubeVirt.
import type { AttachmentView, VirtualMachineView } from '../model/observed.ts';
import { condition, fields, text } from './raw.ts';

/** The view of one VolumeAttachment, and of its PersistentVolume where that is known. */
export function attachmentView(attachment: unknown, volume: unknown): AttachmentView {
  const claim = fields(volume, 'spec', 'claimRef');
  const name = text(claim, 'name');
  return {
    name: text(fields(attachment, 'metadata'), 'name'),
    node: text(fields(attachment, 'spec'), 'nodeName'),
    volume: text(fields(attachment, 'spec', 'source'), 'persistentVolumeName'),
    claim: name === '' ? undefined : `${text(claim, 'namespace')}/${name}`,
    trouble:
      text(fields(attachment, 'status', 'detachError'), 'message') ||
      text(fields(attachment, 'status', 'attachError'), 'message'),
  };
}

const migrationEnds = ['Succeeded', 'Failed'];

/** The view of one VirtualMachineInstance with the migration that is under way for it, if any. */
export function virtualMachineView(machine: unknown, migrations: readonly unknown[]): VirtualMachineView {
  const metadata = fields(machine, 'metadata');
  const status = fields(machine, 'status');
  const [namespace, name] = [text(metadata, 'namespace'), text(metadata, 'name')];
  const migration = migrations.find(
    (one) =>
      text(fields(one, 'metadata'), 'namespace') === namespace &&
      text(fields(one, 'spec'), 'vmiName') === name &&
      !migrationEnds.includes(text(fields(one, 'status'), 'phase')),
  );
  const migratable = condition(machine, 'LiveMigratable');
  const state = fields(status, 'migrationState');
  return {
    namespace,
    name,
    node: text(status, 'nodeName'),
    evacuating: text(status, 'evacuationNodeName') || undefined,
    migration:
      migration === undefined
        ? undefined
        : {
            name: text(fields(migration, 'metadata'), 'name'),
            phase: text(fields(migration, 'status'), 'phase') || 'Pending',
          },
    trouble:
      migratable['status'] === 'False'
        ? `it cannot be live-migrated: ${text(migratable, 'message') || text(migratable, 'reason')}`
        : state['failed'] === true
          ? `its last migration failed: ${text(state, 'failureReason') || 'no reason given'}`
          : '',
  };
}
