// The command lines of the control plane's programs.
import type { Authority, KeyPair } from './certificates.ts';

/** Where everything of one lab control plane is. */
export interface Layout {
  /** Data, keys and logs of this control plane only. */
  readonly dir: string;
  readonly bindAddress: string;
  readonly ports: {
    readonly api: number;
    readonly etcd: number;
    readonly etcdPeer: number;
    readonly controllers: number;
    readonly scheduler: number;
  };
  readonly authority: Authority;
  readonly serving: KeyPair;
  readonly admin: KeyPair;
  readonly signing: { readonly publicPath: string; readonly privatePath: string };
  readonly tokenFile: string;
  readonly extraFlags: Readonly<Partial<Record<'apiServer' | 'controllers' | 'scheduler', readonly string[]>>>;
}

/** etcd without fsync: the data does not outlive the suite, and a laptop's disk should not slow it. */
export function etcdWords(layout: Layout): string[] {
  const client = `http://127.0.0.1:${layout.ports.etcd}`;
  const peer = `http://127.0.0.1:${layout.ports.etcdPeer}`;
  return [
    '--name=lab',
    `--data-dir=${layout.dir}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=lab=${peer}`,
    '--unsafe-no-fsync',
    '--quota-backend-bytes=2147483648',
    '--log-level=warn',
  ];
}

/** The API server, with the admission plugins that a cluster has by default and NodeRestriction, which installers add. */
export function apiServerWords(layout: Layout): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${layout.ports.etcd}`,
    `--bind-address=${layout.bindAddress}`,
    `--advertise-address=${layout.bindAddress === '0.0.0.0' ? '127.0.0.1' : layout.bindAddress}`,
    `--secure-port=${layout.ports.api}`,
    `--tls-cert-file=${layout.serving.certificatePath}`,
    `--tls-private-key-file=${layout.serving.keyPath}`,
    `--client-ca-file=${layout.authority.certificatePath}`,
    // Without these the controllers complain for ever about missing content of the CA bundle.
    `--requestheader-client-ca-file=${layout.authority.certificatePath}`,
    '--requestheader-allowed-names=front-proxy',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--token-auth-file=${layout.tokenFile}`,
    '--authorization-mode=Node,RBAC',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${layout.signing.publicPath}`,
    `--service-account-signing-key-file=${layout.signing.privatePath}`,
    `--kubelet-client-certificate=${layout.admin.certificatePath}`,
    `--kubelet-client-key=${layout.admin.keyPath}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--allow-privileged=true',
    '--endpoint-reconciler-type=none',
    '--profiling=false',
    '--enable-admission-plugins=NodeRestriction',
    ...(layout.extraFlags.apiServer ?? []),
  ];
}

/** The controllers; a generous request rate, because one watcher of the suite counts nodes and not patience. */
export function controllerWords(layout: Layout, kubeconfig: string): string[] {
  return [
    ...client(kubeconfig),
    `--secure-port=${layout.ports.controllers}`,
    `--service-account-private-key-file=${layout.signing.privatePath}`,
    `--root-ca-file=${layout.authority.certificatePath}`,
    `--cluster-signing-cert-file=${layout.authority.certificatePath}`,
    `--cluster-signing-key-file=${layout.authority.keyPath}`,
    '--use-service-account-credentials=true',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    ...(layout.extraFlags.controllers ?? []),
  ];
}

/** The scheduler. */
export function schedulerWords(layout: Layout, kubeconfig: string): string[] {
  return [...client(kubeconfig), `--secure-port=${layout.ports.scheduler}`, ...(layout.extraFlags.scheduler ?? [])];
}

function client(kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
  ];
}
