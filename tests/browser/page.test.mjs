// How the page behaves: what survives an update, what it shows when the way to its server breaks, and what it makes of hostile data.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { statSync } from 'node:fs';
import { FixtureServer, pageFiles } from './fixtures/server.mjs';
import { NOW, STATES, at } from './fixtures/states.mjs';
import { drawn, launch, open, shot, shows, sidewaysScroll, text, until, violations } from './support.mjs';

let browser;
let server;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => { server = await new FixtureServer().start(); });
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await server.stop();
});

const event = (id, words) => ({ id, at: at(NOW), level: 'info', text: words, type: 'note', data: {} });
const eventTexts = (page) => page.evaluate(() => [...document.querySelectorAll('.log li:not(.day) p')].map((p) => p.textContent));
const requests = (path) => server.requests.filter((r) => r.path === path);

describe('the words', () => {
  test('the three answers are the title of the document', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    assert.equal(await page.title(), 'Backfilling, 61.4% · Nobody waits for the migration · Then verify · split-full-name');
  });

  test('what is announced is said when it begins, its figures only at each quarter', async () => {
    const { page } = await open(browser, server.origin);
    await shows(page, 'Backfilling users, 61 percent');
    const { migration, answers } = STATES.running().state;
    const progress = (percent, announce) => server.publish('progress', { answers, announce, pauses: [], phases: migration.phases, backfill: { ...migration.backfill, total_percent: percent } });
    progress(62, 'Backfilling users, 62 percent');
    server.publish('event', event(2001, 'behind 62 percent'));
    await shows(page, 'behind 62 percent');
    assert.equal(await text(page, '#announce'), 'Backfilling users, 61 percent');
    progress(75, 'Backfilling users, 75 percent');
    await until(page, 'three quarters are said', () => document.getElementById('announce').textContent === 'Backfilling users, 75 percent');
  });

  test('what is not known is a dash', async () => {
    server.show('down');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const figures = await page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.figs > div')].map((d) => [d.firstChild.textContent, d.lastChild.textContent])));
    for (const name of ['Rate', 'Left', 'Batch', 'WAL', 'Replica lag', 'Workers']) assert.equal(figures[name].trim(), '–', name);
    assert.match(await text(page, '.link'), /^No connection, figures of 14:29:40$/);
    const subs = await page.evaluate(() => [...document.querySelectorAll('.panel .sub')].map((p) => p.textContent));
    assert.deepEqual([...new Set(subs)], ['as of 14:29:40']);
  });

  test('a migration that is not there says so', async () => {
    server.refuse = { status: 404, code: 'not_found', message: 'No migration is called x.', hint: 'Look at /.' };
    const { page } = await open(browser, server.origin, { path: '/?m=x' });
    await shows(page, 'No migration is called x.');
    assert.ok(requests('/api/stream').every((r) => r.query.includes('m=x')));
    server.refuse = null;
    await shows(page, 'Backfilling, 61.4%', 10000);
    assert.equal(await text(page, '.notice'), null);
  });
});

describe('an update', () => {
  test('keeps focus, selection, scroll and open details', async () => {
    const { page } = await open(browser, server.origin, { height: 500 });
    await drawn(page);
    await page.evaluate(() => { document.querySelector('.pair details').open = true; });
    const copy = page.locator('.verdict .cmd button');
    await copy.focus();
    await page.evaluate(() => {
      scrollTo(0, 700);
      getSelection().selectAllChildren(document.querySelector('.panel h2'));
      globalThis.marked = [...document.querySelectorAll('.panel, .answer, canvas, .log li:nth-child(-n + 9)')];
    });
    const before = await page.evaluate(() => scrollY);
    const { state } = STATES.running();
    server.publish('state', { ...state, answers: { ...state.answers, migration: { ...state.answers.migration, lead: 'Backfilling, 70.0%' } } });
    server.publish('event', event(2000, 'something new'));
    server.publish('columns', state.migration.columns.map((c) => ({ ...c, population: null })));
    await shows(page, 'Backfilling, 70.0%');
    await shows(page, 'something new');
    await shows(page, 'not known');
    const kept = await page.evaluate(() => ({ focus: document.activeElement === document.querySelector('.verdict .cmd button'), selection: getSelection().toString(), y: scrollY, open: document.querySelector('.pair details').open, same: globalThis.marked.every((n) => n.isConnected) }));
    assert.deepEqual(kept, { focus: true, selection: 'Backfill', y: before, open: true, same: true });
  });

  test('of a phase keeps the focus on its button, and hands it on when the phase is done', async () => {
    server.show('planned');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    await page.locator('[data-control=expand]').focus();
    const planned = server.documents.state;
    const turned = (enabled, expand) => ({ ...planned, migration: { ...planned.migration, phases: planned.migration.phases.map((p) => (p.name === 'expand' ? { ...p, status: expand } : p)) },
      demo: { ...planned.demo, controls: planned.demo.controls.map((c) => ({ ...c, enabled: c.name === enabled, primary: c.name === enabled })) } });
    server.publish('state', turned('pause', 'now'));
    await until(page, 'pause can be pressed', () => document.querySelector('[data-control=pause]:not([aria-disabled])'));
    assert.equal(await page.evaluate(() => document.activeElement.dataset.control), 'expand');
    server.publish('state', turned('backfill', 'done'));
    await until(page, 'the focus is on the next button', () => document.activeElement?.dataset.control === 'backfill');
  });

  test('moves nothing that stands above the panels', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const top = () => page.evaluate(() => document.querySelector('#panels, .grid').getBoundingClientRect().top);
    const before = await top();
    server.publish('progress', { ...STATES.paused().state, backfill: STATES.paused().state.migration.backfill, pauses: [], phases: STATES.paused().state.migration.phases });
    await shows(page, 'Paused at 61.4%');
    assert.equal(await top(), before);
  });

  test('by another migration brings its own figures', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    server.documents = STATES.done();
    server.documents.state.migration.name = 'another-one';
    const { columns, sample, backfill, pauses, ...rest } = server.documents.state.migration;
    const { blockers, ...state } = server.documents.state;
    server.publish('state', { ...state, migration: rest });
    await shows(page, 'another-one');
    await shows(page, 'dropped 14:31:02');
  });

  test('adds a point to the charts, once', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const rate = page.locator('.plot').first();
    await rate.focus();
    const point = { t: NOW + 10000, rows_per_second: 12345, batch_p50_ms: 40, batch_p99_ms: 60, lag_ms: 100 };
    server.publish('series', point);
    server.publish('series', point);
    await until(page, 'the point is in the name of the chart', () => document.querySelector('.plot').getAttribute('aria-label').includes('12,345 rows/s'));
    await page.keyboard.press('End');
    assert.match(await text(page, '.chart .read'), /^14:31:17 12,345 rows\/s$/);
    await page.keyboard.press('ArrowLeft');
    assert.match(await text(page, '.chart .read'), /^14:31:07 /);
    assert.match(await text(page, '#announce'), /^14:31:07 /);
  });

  test('older events come when they are asked for', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    assert.equal((await eventTexts(page)).length, 14);
    for (let i = 0; i < 4; i++) await page.getByRole('button', { name: 'Show older' }).click();
    await shows(page, 'older still (20)');
    const all = await eventTexts(page);
    assert.equal(new Set(all).size, all.length);
    assert.equal(await page.getByRole('button', { name: 'Show older' }).count(), 0);
  });
});

describe('the way to the server', () => {
  test('a stream that is cut is taken up where it broke, without an event twice', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    server.publish('event', event(3001, 'before the cut'));
    await shows(page, 'before the cut');
    server.cut();
    server.publish('event', event(3002, 'during the cut'));
    await shows(page, 'during the cut');
    const [first, second] = requests('/api/stream');
    assert.equal(first.query, '');
    assert.equal(second.query, `?after=${server.boot}-1`);
    const texts = await eventTexts(page);
    assert.deepEqual(texts.slice(0, 2), ['during the cut', 'before the cut']);
    assert.equal(new Set(texts).size, texts.length);
  });

  test('a stream that says nothing for 10 s turns the page grey, until it speaks', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    server.silent = true;
    await until(page, 'the page is grey', () => document.body.className === 'stale cut', null, 15000);
    assert.match(await text(page, '.link'), /^Reconnecting, figures of 14:31:\d\d$/);
    assert.match(await page.title(), /^Reconnecting · /);
    assert.equal(await text(page, '#announce'), 'Reconnecting');
    assert.deepEqual(await page.evaluate(() => [...new Set([...document.querySelectorAll('.panel .sub')].map((p) => p.textContent.replace(/:\d\d$/, '')))]), ['as of 14:31']);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.verdict')).filter), 'grayscale(1)');
    await shot(page, 'reconnecting-1280-light');
    assert.deepEqual(await violations(page), []);
    server.silent = false;
    server.publish('event', event(3003, 'it speaks again'));
    await until(page, 'the page has its colours', () => document.body.className === '', null, 15000);
    await shows(page, 'it speaks again', 10000);
  });

  test('a server that was killed and comes back is found again', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const { port } = server;
    await server.stop();
    await until(page, 'the page is grey', () => document.body.className === 'stale cut', null, 15000);
    server = await new FixtureServer().start(port);
    server.show('verified');
    // It was started again: what the page knows is of another boot, and the whole state comes.
    await shows(page, 'Verified, waits for you', 20000);
    await until(page, 'the page has its colours', () => document.body.className === '');
  });

  test('where no stream can be had the page polls, and takes the stream when there is one', async () => {
    server.noStreams = true;
    const { page } = await open(browser, server.origin);
    await shows(page, 'Asking every 2 s');
    server.documents.state.answers.migration.lead = 'Backfilling, 80.0%';
    server.documents.state.seq = 'boot-1900';
    await shows(page, 'Backfilling, 80.0%');
    const asked = requests('/api/state').length;
    await until(page, 'it polls again', (n) => performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/state')).length > n, asked, 6000);
    server.noStreams = false;
    await shows(page, 'Live, updated', 60000);
  });

  test('a page that nobody has looked at for a minute asks nothing, and goes on when it is seen', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    await page.clock.install();
    const turn = (state) => page.evaluate((visible) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => !visible });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
    await turn(false);
    await page.clock.runFor(30000);
    assert.equal(server.streams.size, 1);
    await page.clock.runFor(31000);
    for (let i = 0; i < 100 && server.streams.size > 0; i++) await new Promise((done) => { setTimeout(done, 20); });
    assert.equal(server.streams.size, 0);
    const asked = server.requests.length;
    await page.clock.runFor(300000);
    assert.equal(server.requests.length, asked);
    server.publish('event', event(3004, 'while nobody looked'));
    await turn(true);
    await page.clock.resume();
    await shows(page, 'while nobody looked');
    assert.match(requests('/api/stream').at(-1).query, /after=\w+-/);
  });

  test('a token in the address is given for a cookie and leaves the address', async () => {
    const { page } = await open(browser, server.origin, { path: '/#0123456789abcdef0123456789abcdef' });
    await drawn(page);
    assert.equal(await page.evaluate(() => location.href), server.origin + '/');
    assert.deepEqual(requests('/api/session').map((r) => r.method), ['POST']);
  });
});

describe('hostile data', () => {
  test('is shown as text', async () => {
    server.show('hostile');
    const { page, said } = await open(browser, server.origin, { width: 360 });
    await drawn(page);
    const found = await page.evaluate(() => ({ images: document.images.length, scripts: document.scripts.length, bold: document.querySelectorAll('pre b').length, turned: document.body.textContent.includes('\u202E'), nul: document.body.textContent.includes('\u0000') }));
    assert.deepEqual(found, { images: 0, scripts: 2, bold: 0, turned: false, nul: false });
    await shows(page, '<img src=x onerror=alert(1)>');
    await shows(page, '\\u202ereversed');
    await shows(page, '\\u0000\\u0007');
    await shows(page, 'c'.repeat(63));
    await shows(page, 'x'.repeat(80) + '…');
    assert.ok(!(await text(page, 'main')).includes('x'.repeat(81)));
    assert.equal(await sidewaysScroll(page), 0);
    assert.deepEqual(said, []);
  });

  test('that comes by a message is shown as text', async () => {
    const { page, said } = await open(browser, server.origin);
    await drawn(page);
    server.publish('event', event(4000, '<img src=x onerror=alert(3)>\u202E'));
    server.publish('sample', { ...STATES.running().state.migration.sample, rows: [{ values: ['<svg onload=alert(4)>', '\u2066', '', null], compared: 'differs' }] });
    await shows(page, '<img src=x onerror=alert(3)>\\u202e');
    await shows(page, '<svg onload=alert(4)>');
    assert.deepEqual(said, []);
  });
});

describe('the demo', () => {
  test('every control is reached by keyboard alone, and pressing it posts with the token', async () => {
    server.show('planned');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const wanted = await page.evaluate(() => [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].filter((n) => n.checkVisibility()).length);
    const reached = new Set();
    for (let i = 0; i < wanted + 5; i++) {
      await page.keyboard.press('Tab');
      const { name, ring } = await page.evaluate(() => {
        const { activeElement: node } = document;
        return { name: node === document.body ? null : node.outerHTML, ring: parseFloat(getComputedStyle(node).outlineWidth) };
      });
      if (name) { reached.add(name); assert.ok(ring >= 2, `no focus ring: ${name}`); }
    }
    const controls = await page.evaluate(() => [...document.querySelectorAll('[data-control]')].map((n) => n.outerHTML));
    assert.deepEqual(controls.filter((html) => !reached.has(html)), []);
    assert.ok(reached.size >= wanted - 1, `${reached.size} of ${wanted} reached`);
    await page.locator('[data-control=expand]').focus();
    await page.keyboard.press('Enter');
    await shows(page, 'Done.');
    assert.deepEqual(server.pressed, ['expand']);
  });

  test('a control whose turn it is not says why and posts nothing', async () => {
    server.show('planned');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    await page.locator('[data-control=contract]').focus();
    await page.keyboard.press('Enter');
    await shows(page, 'Run contract: after the phases before it');
    assert.deepEqual(server.pressed, []);
  });

  test('two presses at once post once, and a refusal is shown', async () => {
    server.show('planned');
    let release;
    const held = new Promise((done) => { release = done; });
    server.onPress = async () => { await held; return { status: 409, body: { error: { code: 'busy', message: 'Another visitor runs expand.', hint: 'It ends in a moment.' } } }; };
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const expand = page.locator('[data-control=expand]');
    await expand.press('Enter');
    await until(page, 'the button is busy', () => document.querySelector('[data-control=expand][aria-busy][aria-disabled]'));
    await expand.press('Enter');
    release();
    await shows(page, 'Another visitor runs expand. It ends in a moment.');
    assert.deepEqual(server.pressed, ['expand']);
  });

  test('reset asks once', async () => {
    server.show('planned');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const reset = page.locator('[data-control=reset]');
    await reset.click();
    await shows(page, 'Reset: press again');
    assert.deepEqual(server.pressed, []);
    await reset.click();
    await shows(page, 'Done.');
    assert.deepEqual(server.pressed, ['reset']);
  });

  test('the naive way is red and bracketed', async () => {
    server.show('naive');
    const { page } = await open(browser, server.origin);
    await drawn(page);
    assert.equal(await text(page, '.gap-text'), '2.34 s without an answer');
    assert.notEqual(await page.evaluate(() => document.querySelector('.cell-bad').getAttribute('d')), '');
    assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('.nums .bad')].map((n) => n.lastChild.data)), ['270', '1.00 s', '1.00 s']);
  });
});

describe('what the visitor prefers', () => {
  test('reduced motion: nothing moves', async () => {
    const { page } = await open(browser, server.origin, { reducedMotion: 'reduce' });
    await drawn(page);
    assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('*')].filter((n) => { const s = getComputedStyle(n); return s.transitionDuration !== '0s' || s.animationName !== 'none'; }).map((n) => n.outerHTML)), []);
  });

  test('forced colours: bars, marks and buttons are still seen', async () => {
    server.show('naive');
    const { page, said } = await open(browser, server.origin, { forcedColors: 'active' });
    await drawn(page);
    const same = await page.evaluate(() => [['.hd'], ['.fg'], ['.cell-ok'], ['.cell-bad'], ['.node circle']].filter(([s]) => getComputedStyle(document.querySelector(s)).fill === getComputedStyle(document.body).backgroundColor).map(([s]) => s));
    assert.deepEqual(same, []);
    await shot(page, 'naive-forced-colours');
    assert.deepEqual(said, []);
  });

  test('the theme changes while the page is open', async () => {
    const { page } = await open(browser, server.origin);
    await drawn(page);
    const line = () => page.evaluate(() => globalThis.Chart.getChart(document.querySelector('canvas')).data.datasets[0].borderColor);
    assert.equal(await line(), '#0a5ab4');
    await page.emulateMedia({ colorScheme: 'dark' });
    await until(page, 'the charts have the dark colours', () => globalThis.Chart.getChart(document.querySelector('canvas')).data.datasets[0].borderColor === '#5ba3f5');
  });

  test('200 % text and a page of 320 px do not scroll sideways', async () => {
    const { page } = await open(browser, server.origin, { width: 320 });
    await drawn(page);
    assert.equal(await sidewaysScroll(page), 0);
  });
});

describe('the bytes', () => {
  test('the page is under 80 kB, with the chart library under 300 kB', async () => {
    const page = [...(await pageFiles()).values()].reduce((sum, file) => sum + file.length, 0);
    assert.ok(page < 80 * 1024, `${page} bytes`);
    const chart = statSync(process.env.CHART_JS ?? '/usr/share/javascript/chart.js/chart.min.js').size;
    assert.ok(page + chart < 300 * 1024, `${page + chart} bytes`);
  });

  test('without the chart library the page works', async () => {
    await server.stop();
    server = await new FixtureServer({ chart: false }).start();
    const { page } = await open(browser, server.origin);
    await drawn(page);
    await shows(page, 'replica db2 was up to 4.1 s behind');
    await page.locator('.plot').first().focus();
    await page.keyboard.press('Home');
    assert.match(await text(page, '.chart .read'), /^13:44:07 /);
  });

  test('the first paint needs HTML and CSS only', async () => {
    const { page } = await open(browser, server.origin, { javaScriptEnabled: false });
    assert.match(await page.locator('body').innerText(), /Is my application fine\?[\s\S]*Where is the migration\?[\s\S]*What happens next\?[\s\S]*ecmigrate status/);
  });
});
