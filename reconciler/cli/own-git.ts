// The git of the person who calls: their settings, their keys, their credentials; what it says becomes one sentence when it fails.
import { spawn } from 'node:child_process';
import { placeOf } from '../desired/layout.ts';
import type { ConfigFile, ConfigSnapshot } from '../ports.ts';
import { UsageError } from './settings.ts';

/** A clone as the person's git sees it. */
export interface OwnGit {
  readonly folder: string;
  /** Runs git there and gives what it printed. Throws UsageError with what git said. */
  run(...words: string[]): Promise<string>;
  /** As `run`, as bytes, with something to read. */
  bytes(words: readonly string[], input?: string): Promise<Buffer>;
  /** What git prints, or undefined when it fails: for questions. */
  ask(...words: string[]): Promise<string | undefined>;
  /** The same git in another folder. */
  in(folder: string): OwnGit;
}

/** One call of git may take so long: a person may have to touch a key or type a passphrase. */
const longestMs = 180_000;
/** As in the Git adapter: a larger file is not configuration. */
const largestFile = 256 * 1024;

/** Opens it; `env` is added to the environment. */
export function openOwnGit(folder: string, env: Readonly<Record<string, string>> = {}): OwnGit {
  async function bytes(words: readonly string[], input = ''): Promise<Buffer> {
    const { status, out, said } = await start(folder, words, input, env);
    if (status !== 0) throw new UsageError(`git ${words[0] ?? ''} failed: ${said}`);
    return out;
  }
  return {
    folder,
    bytes,
    run: async (...words) => (await bytes(words)).toString('utf8').trimEnd(),
    async ask(...words) {
      const { status, out } = await start(folder, words, '', env);
      return status === 0 ? out.toString('utf8').trimEnd() : undefined;
    },
    in: (other) => openOwnGit(other, env),
  };
}

interface Outcome {
  readonly status: number | undefined;
  readonly out: Buffer;
  readonly said: string;
}

function start(
  folder: string,
  words: readonly string[],
  input: string,
  env: Readonly<Record<string, string>>,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', words, {
      cwd: folder,
      // Messages in one language, because a few are looked at.
      env: { ...process.env, LC_ALL: 'C', ...env },
      timeout: longestMs,
    });
    const out: Buffer[] = [];
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-4000)));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new UsageError(
          error.code === 'ENOENT'
            ? `git is not installed, or there is no folder ${folder}`
            : `git cannot be started: ${error.message}`,
        ),
      );
    });
    child.once('close', (status) => {
      const text = said.trim() || (status === null ? `it did not end within ${longestMs / 1000} s` : 'it said nothing');
      resolve({ status: status ?? undefined, out: Buffer.concat(out), said: text });
    });
  });
}

/** The config repository at a commit or tree of a clone: every file that means something, as Oakum itself reads it. */
export async function snapshotAt(git: OwnGit, commit: string): Promise<ConfigSnapshot> {
  const listed = (await git.bytes(['ls-tree', '-r', '-z', '-l', '--full-tree', commit])).toString('utf8').split('\0');
  const entries = listed.flatMap((line) => {
    const [, mode = '', type = '', oid = '', size = '', path = ''] =
      /^(\d+) (\w+) ([0-9a-f]{40}) +(-|\d+)\t(.*)$/s.exec(line) ?? [];
    return path !== '' && placeOf(path).kind !== 'other' ? [{ mode, type, oid, size: Number(size), path }] : [];
  });
  const readable = entries.filter(({ mode, size }) => mode.startsWith('100') && size <= largestFile);
  const texts = await blobs(git, [...new Set(readable.map(({ oid }) => oid))]);
  const files = entries.map(({ mode, type, oid, path }): [string, ConfigFile] => {
    const text = texts.get(oid);
    const kind =
      type === 'commit'
        ? 'submodule'
        : mode === '120000'
          ? 'symlink'
          : text === undefined
            ? 'oversized'
            : text.includes('\0')
              ? 'binary'
              : 'file';
    return [path, { path, oid, kind, text: kind === 'file' ? (text ?? '') : '' }];
  });
  return { commit, committedAt: 0, files: new Map(files), changed: undefined };
}

/** Texts of blobs by their ids (git-cat-file(1), "BATCH OUTPUT"). */
async function blobs(git: OwnGit, oids: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const out = await git.bytes(['cat-file', '--batch'], oids.map((oid) => `${oid}\n`).join(''));
  for (let at = 0; at < out.length;) {
    const end = out.indexOf('\n', at);
    const [oid = '', , size = ''] = out.toString('latin1', at, end).split(' ');
    texts.set(oid, out.toString('utf8', end + 1, end + 1 + Number(size)));
    at = end + 2 + Number(size);
  }
  return texts;
}
