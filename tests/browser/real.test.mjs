// The real program: `ecmigrate demo` through a whole migration by keyboard alone, then the naive way, hostile data, a database that goes away, and a server
// that is killed. Needs ECMIGRATE_PROGRAM, and psql and pg_ctl of the PostgreSQL that the demo starts.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, open, shot, shows, sidewaysScroll, text, until, violations } from './support.mjs';

const PROGRAM = process.env.ECMIGRATE_PROGRAM;
const MINUTE = 60000;
const HOSTILE = '<img src=x onerror=alert(1)>';

async function freePort() {
  const server = createServer();
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  const { port } = server.address();
  await new Promise((done) => { server.close(done); });
  return port;
}

// Waits for a condition outside of the browser.
async function eventually(what, condition, timeout) {
  const end = Date.now() + timeout;
  for (;;) {
    if (await condition().catch(() => false)) return;
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((done) => { setTimeout(done, 100); });
  }
}

class Demo {
  async start() {
    // Made by the demo: as root it gives the folder to the user that its server runs as.
    this.folder ??= `/tmp/ecmigrate-browser-${process.pid}`;
    this.port ??= await freePort();
    this.api ??= await freePort();
    this.output = '';
    this.child = spawn(PROGRAM, ['demo', '--listen', `127.0.0.1:${this.port}`, '--api-listen', `127.0.0.1:${this.api}`, '--folder', this.folder], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((done) => { this.child.once('exit', (code, signal) => done(signal ?? code)); });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (data) => { this.output += data; });
    const died = this.ended.then((status) => { throw new Error(`the demo ended with ${status}:\n${this.output}`); });
    await Promise.race([died, eventually('/health answers', async () => (await fetch(`${this.origin}/health`)).ok, 3 * MINUTE)]);
    died.catch(() => {});
  }

  get origin() { return `http://127.0.0.1:${this.port}`; }

  get = async (path) => (await fetch(this.origin + path)).json();

  async end(signal) {
    this.child.kill(signal);
    return this.ended;
  }

  // The state document says how the database is reached.
  async connect() {
    const { database } = await this.get('/api/state');
    const { name, host, port = '5432', role } = (database.target.match(/^(?<name>\S+) on (?<host>\S+?)(?:(?::| port )(?<port>\d+))? as (?<role>[^\s,]+)/) ?? assert.fail(`cannot read the target ${database.target}`)).groups;
    this.psqlArguments = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1', '--host', host, '--port', port, '--username', role, '--dbname', name];
    this.data = this.sql('show data_directory');
    this.bin = this.sql("select setting from pg_config where name = 'BINDIR'");
  }

  sql(statement) { return execFileSync('psql', [...this.psqlArguments, '--command', statement], { encoding: 'utf8' }).trim(); }

  // PostgreSQL does not run as root: as root the demo's server is the user postgres's.
  control(...args) {
    const command = [join(this.bin, 'pg_ctl'), '--pgdata', this.data, '--wait', '--silent', ...args];
    const [program, ...rest] = process.getuid() === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : command;
    execFileSync(program, rest, { cwd: '/', stdio: 'ignore' });
  }

  async remove() {
    await this.end('SIGTERM');
    try { this.control('--mode', 'immediate', 'stop'); } catch { /* The demo has stopped it. */ }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// Tab to a control and press Enter: what a visitor without a mouse does.
async function press(page, name, timeout = 30000) {
  await until(page, `${name} can be pressed`, (wanted) => document.querySelector(`[data-control=${wanted}]:not([aria-disabled])`), name, timeout);
  for (let i = 0; i < 200; i++) {
    if (await page.evaluate((wanted) => document.activeElement?.dataset.control === wanted, name)) return page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
  }
  return assert.fail(`Tab does not come to ${name}`);
}

const phaseIs = (page, title, status, timeout) => until(page, `${title} is ${status}`, ([wanted, cls]) => [...document.querySelectorAll('.stepper li')].some((li) => li.classList.contains(cls) && li.querySelector('.name').firstChild.data === wanted), [title, status], timeout);
const eventTexts = (page) => page.evaluate(() => [...document.querySelectorAll('.log li:not(.day) p')].map((p) => p.textContent));

describe('the demo', { skip: PROGRAM ? false : 'ECMIGRATE_PROGRAM is not set', concurrency: false }, () => {
  const demo = new Demo();
  let browser;
  let visit;
  before(async () => {
    await demo.start();
    await demo.connect();
    browser = await launch();
    visit = await open(browser, demo.origin);
    await shows(visit.page, 'Live, updated', 20000);
  }, { timeout: 4 * MINUTE });
  after(async () => {
    await browser?.close();
    if (demo.child) await demo.remove();
  }, { timeout: MINUTE });

  const failures = async () => (await demo.get('/api/state')).demo.traffic.lanes.map((lane) => lane.failed);
  const quiet = () => assert.deepEqual([visit.said, visit.asked.filter((url) => !url.startsWith(demo.origin + '/'))], [[], []]);

  test('shows values and names that are hostile as text', { timeout: MINUTE }, async () => {
    const { page } = visit;
    await until(page, 'sample rows are shown', () => [...document.querySelectorAll('h2')].find((n) => n.textContent === 'Sample data')?.closest('section').querySelector('tbody tr'), null, 20000);
    const { migration: { sample } } = await demo.get('/api/state');
    demo.sql(`alter table users add column "${HOSTILE}" text`);
    demo.sql(`update users set full_name = '${HOSTILE}' where id = ${Number(sample.rows[0].values[0])}`);
    demo.sql(`update users set full_name = U&'\\202Ereversed' where id = ${Number(sample.rows[1].values[0])}`);
    await until(page, 'the value is shown', (value) => [...document.querySelectorAll('td')].some((td) => td.textContent === value), HOSTILE, 20000);
    await until(page, 'the column is shown', (name) => [...document.querySelectorAll('td code')].some((code) => code.textContent === name), HOSTILE, 20000);
    await shows(page, '\\u202ereversed', 20000);
    assert.equal(await page.evaluate(() => document.images.length), 0);
    demo.sql(`alter table users drop column "${HOSTILE}"`);
    quiet();
  });

  test('goes through a whole migration by keyboard alone, and no request fails', { timeout: 5 * MINUTE }, async () => {
    const { page } = visit;
    await shot(page, 'real-planned');
    assert.deepEqual(await violations(page), []);
    await press(page, 'expand');
    await phaseIs(page, 'Expand', 'done', MINUTE);
    await press(page, 'write_old');
    await shows(page, 'The old version wrote', 10000);

    await press(page, 'backfill');
    await phaseIs(page, 'Backfill', 'now', MINUTE);
    const percents = [];
    await eventually('some rows are filled', async () => percents.push((await demo.get('/api/state')).migration.backfill?.total_percent ?? 0) && percents.at(-1) > 20, MINUTE);
    await press(page, 'pause');
    await phaseIs(page, 'Backfill', 'paused', MINUTE);
    await shot(page, 'real-paused');
    await press(page, 'resume');
    await phaseIs(page, 'Backfill', 'now', MINUTE);
    await shot(page, 'real-backfilling');
    assert.deepEqual(await violations(page), []);
    await phaseIs(page, 'Backfill', 'done', 3 * MINUTE);
    assert.deepEqual(percents, [...percents].sort((a, b) => a - b), 'the percent falls');

    await press(page, 'write_new');
    await shows(page, 'The new version wrote', 10000);
    await press(page, 'verify');
    await phaseIs(page, 'Verify', 'done', MINUTE);
    await press(page, 'stop_old');
    await press(page, 'contract', MINUTE);
    await phaseIs(page, 'Contract', 'done', MINUTE);

    await until(page, 'full_name is struck through', () => [...document.querySelectorAll('.schema code.gone')].some((code) => code.textContent === 'full_name'), null, 20000);
    assert.match(await text(page, '.answer .lead'), /^0 failed of /);
    assert.deepEqual(await failures(), [0, 0]);
    const written = async () => (await demo.get('/api/state')).demo.traffic.lanes.find((lane) => lane.shape === 'new');
    const soFar = (await written()).requests;
    await eventually('the new version goes on writing', async () => (await written()).requests > soFar, 20000);
    assert.equal((await written()).running, true);
    await shot(page, 'real-contracted');
    assert.deepEqual(await violations(page), []);
    quiet();
  });

  test('turns red when the naive way is run', { timeout: 3 * MINUTE }, async () => {
    const { page } = visit;
    await press(page, 'naive');
    await until(page, 'the naive way has been run', () => /\d/.test(document.querySelector('.naive-run')?.textContent) && !document.querySelector('.naive-run').textContent.includes('runs now'), null, 2 * MINUTE);
    const { demo: { naive_run: run } } = await demo.get('/api/state');
    assert.ok(run.failed > 0 || run.longest_gap_ms > 500, JSON.stringify(run));
    await until(page, 'the first answer is red', () => document.querySelector('.answer .lead .bad'), null, 20000);
    await until(page, 'the lane is red or has its bracket', () => document.querySelector('.cell-bad')?.getAttribute('d') || document.querySelector('.gap-text'), null, 20000);
    await shot(page, 'real-naive');
    for (const width of [360, 768, 1600]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await sidewaysScroll(page), 0, `scrolls sideways at ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    assert.deepEqual(await violations(page), []);
    quiet();
  });

  test('says that the database is down, and goes on when it is back, without a reload', { timeout: 3 * MINUTE }, async () => {
    const { page } = visit;
    await page.evaluate(() => { globalThis.notReloaded = true; });
    demo.control('--mode', 'fast', 'stop');
    await until(page, 'the page says so', () => document.body.className === 'stale' && document.querySelector('.link').textContent.startsWith('No connection'), null, 20000);
    assert.equal((await fetch(demo.origin)).status, 200);
    assert.equal((await fetch(`${demo.origin}/health`)).status, 503);
    await shot(page, 'real-down');
    assert.deepEqual(await violations(page), []);
    demo.control('--log', join(demo.data, '..', 'server.log'), 'start');
    await until(page, 'the page goes on', () => document.body.className === '' && document.querySelector('.link').textContent.startsWith('Live'), null, MINUTE);
    assert.equal(await page.evaluate(() => globalThis.notReloaded), true);
    quiet();
  });

  test('is grey when its server was killed, and goes on when it is back, no event twice', { timeout: 5 * MINUTE }, async () => {
    const { page } = visit;
    await demo.end('SIGKILL');
    await until(page, 'the page is grey', () => document.body.className.includes('cut'), null, 20000);
    await demo.start();
    await until(page, 'the page goes on', () => document.body.className === '' && document.querySelector('.link').textContent.startsWith('Live'), null, MINUTE);
    assert.equal(await page.evaluate(() => globalThis.notReloaded), true);
    // As the journal has them: two may read the same.
    const { events } = await demo.get('/api/events?limit=14');
    assert.deepEqual(await eventTexts(page), events.map((event) => event.text));
  });

  test('ends cleanly', { timeout: MINUTE }, async () => {
    assert.equal(await demo.end('SIGTERM'), 0, demo.output);
  });
});
