// What the browser tests share: one Chromium, pages that note what they should never do, and axe.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const ARGUMENTS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = fileURLToPath(new URL('../../build/screenshots/', import.meta.url));
mkdirSync(SHOTS, { recursive: true });

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });

// A page of its own context. `said` collects console messages, errors and dialogs; `asked` the addresses of all requests.
export async function open(browser, origin, { width = 1280, height = 900, theme = 'light', path = '/', ...context } = {}) {
  const page = await (await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...context })).newPage();
  const said = [];
  const asked = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => { said.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(origin + path);
  return { page, said, asked };
}

// Polls in the page's own world with a function: the page's CSP forbids the eval that a string would need.
export async function until(page, what, condition, argument, timeout = 5000) {
  await page.waitForFunction(condition, argument, { timeout, polling: 50 }).catch(() => assert.fail(`never: ${what}`));
}

export const text = (page, selector) => page.evaluate((s) => document.querySelector(s)?.textContent ?? null, selector);
export const shows = (page, part, timeout) => until(page, `the page shows ${part}`, (wanted) => document.body.textContent.includes(wanted), part, timeout);
export const drawn = (page) => until(page, 'the page has drawn a state', () => /^(Live|No connection)/.test(document.querySelector('.link')?.textContent));

export const shot = (page, name) => page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true });

export async function violations(page) {
  // evaluate() brings axe in by the debugger, past the page's CSP, which stays in force for the page.
  await page.evaluate(AXE);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return found.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 5).join(' | ')}`);
}

export const sidewaysScroll = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
