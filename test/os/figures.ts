// `node test/os/figures.ts [rounds] [apt|dnf|zypper]`: what the script costs. The time of scan, download and patch beside the bare package manager doing the same on a copy of the same root.
import { cpus, loadavg } from 'node:os';
import { debianNode } from './debian-fixture.ts';
import type { Root } from './roots.ts';
import { rpm } from './rpm-fixture.ts';
import { runId, start } from './script.ts';

/** The three parts of a patch as one says them to a package manager by hand, each from the caches that the part before it filled. */
interface Subject {
  readonly name: string;
  readonly node: () => Promise<Root>;
  /** What must be there before the clock starts: protection, as an administrator would have it. */
  readonly prepare: string;
  readonly bare: readonly [look: string, fetch: string, install: string];
  readonly env: Readonly<Record<string, string>>;
  /** What must be equal in the end: figures of unequal work say nothing. */
  readonly inventory: string;
}

const rounds = Number(process.argv[2] ?? '3');
/** Only the roots whose name begins so. */
const wanted = process.argv[3] ?? '';
const fixture = await rpm();

const APT =
  'apt-get -qq -y -o APT::Get::Always-Include-Phased-Updates=true -o Dpkg::Options::=--force-confold --with-new-pkgs --no-install-recommends';
const DNF = "dnf -q -y --exclude='kube*' --exclude='containerd*' --exclude='sec-conf'";
const ZYPPER = 'zypper --quiet --non-interactive';
const PATCHES = `${ZYPPER} patch --category security --with-interactive --skip-not-applicable-patches`;

const SUBJECTS: readonly Subject[] = [
  ...(['bookworm', 'trixie'] as const).map((release) => ({
    name: `apt, Debian ${release}, its security updates of today`,
    node: () => debianNode(release, 'deb822'),
    prepare: 'true',
    bare: [
      `apt-get -qq update && ${APT} -s upgrade`,
      `${APT} --download-only upgrade`,
      `DEBIAN_FRONTEND=noninteractive ${APT} upgrade </dev/null`,
    ] as const,
    env: {},
    inventory: 'dpkg-query -W',
  })),
  {
    name: 'dnf 4.14, local repositories',
    node: () => fixture.dnfNode(),
    prepare: 'true',
    bare: [
      `${DNF} --refresh updateinfo list --security && { ${DNF} --assumeno upgrade-minimal --security || true; }`,
      `${DNF} upgrade-minimal --security --downloadonly`,
      `${DNF} upgrade-minimal --security`,
    ],
    env: { OSP_EXCLUDE: 'sec-conf' },
    inventory: 'rpm -qa | sort',
  },
  {
    name: 'zypper 1.14.89, local repositories',
    node: () => fixture.zypperNode('trixie'),
    prepare: `${ZYPPER} addlock 'kube*' 'containerd*' sec-conf`,
    // 102: done, and a reboot is wanted; some say so already when they rehearse.
    bare: [
      `${ZYPPER} refresh && ${ZYPPER} list-patches --category security && { ${PATCHES} --dry-run || [ $? = 102 ]; }`,
      `${PATCHES} --download-only || [ $? = 102 ]`,
      `${PATCHES} || [ $? = 102 ]`,
    ],
    env: { OSP_EXCLUDE: 'sec-conf' },
    inventory: 'rpm -qa | sort',
  },
];

type Three = readonly [number, number, number];

/** Milliseconds of each part by the bare package manager, and the packages in the end. */
async function bare(subject: Subject): Promise<{ readonly ms: Three; readonly end: string }> {
  const root = await subject.node();
  try {
    await root.ok(subject.prepare);
    const part = async (script: string): Promise<number> => {
      const ran = await root.sh(script);
      if (ran.status !== 0) throw new Error(`${script}\n${ran.stdout}${ran.stderr}`);
      return ran.ms;
    };
    const [look, fetch, install] = subject.bare;
    const ms: Three = [await part(look), await part(fetch), await part(install)];
    return { ms, end: await root.ok(subject.inventory) };
  } finally {
    await root.close();
  }
}

/** The same by the script, and how many updates there were. */
async function scripted(
  subject: Subject,
): Promise<{ readonly ms: Three; readonly end: string; readonly count: number }> {
  const root = await subject.node();
  try {
    const run = runId('figures');
    const { env } = subject;
    const scan = await start(root, { mode: 'scan', env });
    const download = await start(root, { mode: 'download', run, env });
    const patch = await start(root, { mode: 'patch', run, env: { ...env, OSP_OFFLINE: 'true' } });
    const { n, code } = patch.result;
    if (code !== 'OK') throw new Error(`${code}: ${patch.result.msg}`);
    return {
      ms: [scan.ms, download.ms, patch.ms],
      end: await root.ok(subject.inventory),
      count: (n?.['applied'] ?? 0) + (n?.['new'] ?? 0),
    };
  } finally {
    await root.close();
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? NaN;
const seconds = (ms: number): string => (ms / 1000).toFixed(1);

console.log(
  `Seconds, median of ${String(rounds)} (load ${(loadavg()[0] ?? 0).toFixed(1)} on ${String(cpus().length)} processors). The script's parts: scan, download, patch.`,
);
console.log(
  'root | updates | look: bare, script, ratio | fetch: bare, script, ratio | install: bare, script, ratio | all: ratio',
);
try {
  for (const subject of SUBJECTS.filter(({ name }) => name.startsWith(wanted))) {
    const plain: Three[] = [];
    const own: Three[] = [];
    let count = 0;
    for (let round = 0; round < rounds; round += 1) {
      const one = await bare(subject);
      const other = await scripted(subject);
      if (one.end !== other.end) throw new Error(`${subject.name}: the ends differ\n${one.end}\n---\n${other.end}`);
      plain.push(one.ms);
      own.push(other.ms);
      count = other.count;
    }
    const parts = [0, 1, 2].map((part) => {
      const without = median(plain.map((ms) => ms[part] ?? NaN));
      const with_ = median(own.map((ms) => ms[part] ?? NaN));
      return { without, with_ };
    });
    const sum = (which: 'without' | 'with_'): number => parts.reduce((total, part) => total + part[which], 0);
    const cells = parts.map(
      ({ without, with_ }) => `${seconds(without)}, ${seconds(with_)}, ${(with_ / without).toFixed(1)}`,
    );
    console.log([subject.name, String(count), ...cells, (sum('with_') / sum('without')).toFixed(1)].join(' | '));
  }
} finally {
  await fixture.close();
}
