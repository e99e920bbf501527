// The files that make a copy of the node root one particular machine of one particular cluster.
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Authority } from './certificates.ts';
import { renderKubeconfig } from './kubeconfig.ts';
import { sandboxImage } from './node-base.ts';

/** Who the machine is. */
export interface NodeIdentity {
  readonly name: string;
  readonly address: string;
  readonly gateway: string;
  /** Address of the API server as the machine reaches it. */
  readonly apiUrl: string;
  /** URL of the folder `debian-security`. */
  readonly repositoryUrl: string;
  readonly zone: string | undefined;
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
}

/** Writes them into `root`. */
export async function writeNodeFiles(root: string, identity: NodeIdentity, authority: Authority): Promise<void> {
  const { name } = identity;
  const write = async (path: string, text: string, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text, { mode });
  };
  const kubelet = await authority.issue(`node-${name}`, `/O=system:nodes/CN=system:node:${name}`, [
    `IP:${identity.address}`,
    `DNS:${name}`,
  ]);
  await write('etc/kubernetes/ca.crt', authority.certificate);
  await write('etc/kubernetes/serving.crt', kubelet.certificate);
  await write('etc/kubernetes/serving.key', kubelet.key, 0o600);
  const access = {
    url: identity.apiUrl,
    authority: authority.certificate,
    certificate: kubelet.certificate,
    key: kubelet.key,
  };
  await write('etc/kubernetes/kubelet.kubeconfig', renderKubeconfig(access), 0o600);
  await write('etc/kubernetes/kubelet.yaml', kubeletConfiguration(identity));
  await write('etc/containerd/config.toml', containerdConfiguration);
  await write('etc/cni/net.d/10-lab.conflist', networkConfiguration(identity.address));
  await write('etc/systemd/system/containerd.service', containerdUnit);
  await write('etc/systemd/system/kubelet.service', kubeletUnit(identity));
  for (const unit of ['containerd', 'kubelet']) await enable(root, unit, '/etc/systemd/system');
  await enable(root, 'systemd-networkd', '/lib/systemd/system');
  for (const unit of masked) await write(`etc/systemd/system/${unit}`, '');
  await write('etc/systemd/network/10-lab.network', networkUnit(identity));
  await write('etc/hostname', `${name}\n`);
  await write('etc/hosts', `127.0.0.1 localhost ${name}\n`);
  await rm(join(root, 'etc/resolv.conf'), { force: true });
  await write('etc/resolv.conf', '');
  // Both, or all machines of the lab have one machine id.
  await rm(join(root, 'var/lib/dbus/machine-id'), { force: true });
  await write('etc/machine-id', '');
  await write('etc/apt/sources.list', `deb [trusted=yes] ${identity.repositoryUrl} bookworm-security main\n`);
}

/** Timers that would change or slow the machine by themselves. An empty unit file is a masked unit. */
const masked = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'systemd-networkd-wait-online.service',
  'e2scrub_all.timer',
  'fstrim.timer',
  'ssh.service',
  'systemd-timesyncd.service',
];

async function enable(root: string, unit: string, folder: string): Promise<void> {
  const wants = join(root, 'etc/systemd/system/multi-user.target.wants');
  await mkdir(wants, { recursive: true });
  await symlink(`${folder}/${unit}.service`, join(wants, `${unit}.service`));
}

function kubeletConfiguration(identity: NodeIdentity): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: '/etc/kubernetes/ca.crt' },
    },
    authorization: { mode: 'AlwaysAllow' },
    tlsCertFile: '/etc/kubernetes/serving.crt',
    tlsPrivateKeyFile: '/etc/kubernetes/serving.key',
    cgroupDriver: 'cgroupfs',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    failSwapOn: false,
    // The machines that run tests still have the first version of control groups.
    failCgroupV1: false,
    nodeStatusUpdateFrequency: '5s',
    nodeLeaseDurationSeconds: 20,
    enforceNodeAllocatable: [],
    evictionHard: { 'memory.available': '10Mi', 'nodefs.available': '1%' },
    resolvConf: '',
    registerWithTaints: identity.taints,
  });
}

// restrict_oom_score_adj: a test machine may lack CAP_SYS_RESOURCE, and runc would fail to start every sandbox.
// The native snapshotter: the root of the machine is an overlay itself, and the kernel stacks them only so far.
const containerdConfiguration = `version = 3
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'native'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${sandboxImage}'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/lib/cni']
`;

function networkConfiguration(address: string): string {
  const subnet = `10.88.${address.split('.')[3] ?? '0'}.0/24`;
  const ipam = { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
  return JSON.stringify({ cniVersion: '1.0.0', name: 'lab', plugins: [{ type: 'ptp', ipMasq: false, ipam }] });
}

// nspawn mounts control groups and /proc/sys read-only; a kubelet and a container runtime need to write both.
const containerdUnit = `[Unit]
After=local-fs.target
[Service]
ExecStartPre=/bin/sh -c 'for d in /proc/sys /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw "$$d"; done; exit 0'
ExecStart=/usr/local/bin/containerd
ExecStartPost=/usr/local/bin/ctr -n k8s.io images import --local --snapshotter native /opt/images.tar
Environment=PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Type=notify
Delegate=yes
KillMode=process
Restart=always
TimeoutStartSec=120
[Install]
WantedBy=multi-user.target
`;

function kubeletUnit(identity: NodeIdentity): string {
  const labels = ['lab=real', ...(identity.zone === undefined ? [] : [`topology.kubernetes.io/zone=${identity.zone}`])];
  return `[Unit]
After=containerd.service systemd-networkd.service
Wants=containerd.service
[Service]
ExecStart=/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override=${identity.name} --node-ip=${identity.address} --node-labels=${labels.join(',')}
Environment=PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
`;
}

function networkUnit(identity: NodeIdentity): string {
  return `[Match]
Name=host0
[Network]
Address=${identity.address}/24
Gateway=${identity.gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
`;
}
