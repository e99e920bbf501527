// What the planner makes of the script's termination message: the whole list of codes, and every kind of nonsense.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { meaningOf, resultCodes } from '../../reconciler/model/patch-result.ts';
import { readResult } from '../../reconciler/model/result-text.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../reconciler/patch/result.schema.json', import.meta.url), 'utf8'),
) as {
  properties: { code: { enum: string[] } };
};

const state = { os: 'debian', osv: '12.15', kernel: '6.1.0-50-amd64', boot: '737404ad-09fb-4c9c-9393-44ad38ac8bc0' };
const result = (more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    v: 1,
    run: 'r',
    node: 'n',
    mode: 'patch',
    status: 'Succeeded',
    code: 'OK',
    before: state,
    after: state,
    t: { start: '2026-01-01T00:00:00Z' },
    ...more,
  });

describe('error codes', () => {
  it('are the same list here and in the schema of the result', () => {
    expect([...resultCodes].sort()).toEqual([...schema.properties.code.enum].sort());
  });

  it('that nobody knows count as a fault of the script, never as a success', () => {
    expect(meaningOf('SOMETHING_NEW').severity).toBe('internal');
  });
});

describe('a result', () => {
  it('is read with its packages, compressed or plain', () => {
    const lines = ['libssl3 3.0.15 3.0.17', 'perl 5.36.0-7 5.36.0-8'];
    for (const data of [gzipSync(lines.join('\n')), gzipSync(JSON.stringify(lines))]) {
      const read = readResult(
        result({ n: { applied: 2, new: 1, left: 0 }, pkgs: { enc: 'gz', data: data.toString('base64') } }),
      );
      expect(read?.packages).toEqual(lines);
      expect(read?.applied).toBe(3);
    }
    expect(readResult(result({ pkgs: { enc: 'plain', data: lines } }))?.packages).toEqual(lines);
    expect(readResult(result({ pkgs: { enc: 'omitted', sha256: 'x' } }))?.packages).toBeUndefined();
  });

  it('that inflates without end is cut off', () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024)).toString('base64');
    expect(readResult(result({ pkgs: { enc: 'gz', data: bomb } }))?.packages).toBeUndefined();
  });

  it('brings no control characters into a terminal, a commit or an annotation', () => {
    const read = readResult(result({ msg: 'a\u001b[31mred\u0007\r\nb', warn: ['x\u0000y'], svc: ['s\u2028t'] }));
    expect(JSON.stringify(read)).not.toMatch(/\\u00(0|1)|\\u007f|\u001b|\u2028/);
    expect(read?.message).toBe('a [31mred b');
  });

  it.each([undefined, '', 'Killed', '{', '[]', 'null', '{"v":2,"code":"OK"}', '{"v":1}', '{"v":1,"code":7}'])(
    'is not found in %j',
    (text) => {
      expect(readResult(text)).toBeUndefined();
    },
  );

  it('never throws, whatever the node says', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc
            .dictionary(fc.constantFrom('v', 'code', 'n', 'reboot', 'pkgs', 'kept', 'after', 'warn'), fc.jsonValue())
            .map((value) => JSON.stringify({ v: 1, code: 'OK', ...value })),
        ),
        (text) => {
          readResult(text);
        },
      ),
      { numRuns: 500 },
    );
  });
});
