// Every state of the page, in both themes and four widths, on invented documents.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FixtureServer } from './fixtures/server.mjs';
import { STATES } from './fixtures/states.mjs';
import { drawn, launch, open, shot, sidewaysScroll, violations } from './support.mjs';

const WIDTHS = [360, 768, 1280, 1600];

describe('every state', { concurrency: false }, () => {
  let browser;
  let server;
  before(async () => { browser = await launch(); server = await new FixtureServer().start(); });
  after(async () => { await browser.close(); await server.stop(); });

  for (const state of Object.keys(STATES)) {
    for (const theme of ['light', 'dark']) {
      test(`${state}, ${theme}`, async () => {
        server.show(state);
        const { page, said, asked } = await open(browser, server.origin, { theme });
        await drawn(page);
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: 900 });
          // Two frames: one to lay out, one for what watches sizes.
          await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
          assert.equal(await sidewaysScroll(page), 0, `scrolls sideways at ${width}`);
          assert.deepEqual(await violations(page), [], `at ${width}`);
          await shot(page, `${state}-${width}-${theme}`);
        }
        assert.deepEqual(said, []);
        assert.deepEqual(asked.filter((url) => !url.startsWith(server.origin + '/')), []);
        await page.context().close();
      });
    }
  }
});
