// Drives the viewer in Chromium: node viewer.mjs ADDRESS FOLDER-OF-NODE-MODULES FOLDER-FOR-PICTURES
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [address, folder, shots] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const ui = `${address}/audit/ui`;
mkdirSync(shots, { recursive: true });

// What no page may show as it is.
const HOSTILE = '<img src=x onerror=alert(1)>\u202e\u200b\u001b[2J"\'&';

/** Requests of every kind, so that there are events of every kind. */
async function traffic() {
  const ask = (method, path, token, body, headers = {}) =>
    fetch(address + path, { method, body, headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } })
      .catch(() => {}); // A handler that panics closes the connection.
  for (let n = 0; n < 3; n += 1) {
    await ask('POST', '/scans', 'alice-token', 'x');
    await ask('PUT', '/auth/admin/users/carol@example.org', 'admin-token');
    await ask('DELETE', '/auth/admin/users/bob@example.org', 'alice-token');
    await ask('DELETE', '/auth/admin/users/bob@example.org');
    await ask('POST', '/view?status=503', 'bob-token', 'x');
    await ask('POST', '/scans?panic=1', 'bob-token', 'x');
    await ask('GET', '/scans?n=5000', 'bob-token');
    await ask('POST', '/login', undefined, JSON.stringify({ user: 'eve@example.org' }));
  }
  await ask('POST', '/login', undefined, JSON.stringify({ user: HOSTILE }));
  await ask('POST', '/login', undefined, JSON.stringify({ user: 'L'.repeat(1 << 20) }));
}

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** A browser of its own, whose pages may do nothing but what they are for. */
async function visitor({ scheme = 'light', width = 1280, height = 900, scripts = false } = {}) {
  const context = await browser.newContext({
    colorScheme: scheme, viewport: { width, height }, javaScriptEnabled: scripts, acceptDownloads: true,
  });
  const page = await context.newPage();
  const wrong = [];
  page.on('dialog', (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('console', (message) => /Content Security Policy|Refused/.test(message.text()) && wrong.push(message.text()));
  page.on('request', (request) => request.url().startsWith(address) || wrong.push(`asks for ${request.url()}`));
  // Whoever goes on before the icon has come takes it back.
  page.on('requestfailed', (request) =>
    request.failure().errorText === 'net::ERR_ABORTED' || wrong.push(`cannot load ${request.url()}`));
  return { context, page, wrong };
}

/** Signs in as a person does. */
async function signIn(page, token = 'admin-token') {
  await page.goto(`${address}/login`);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${ui}/`);
}

const ids = (page) => page.locator('table.events tbody th a').evaluateAll((links) =>
  links.map((link) => link.getAttribute('href').match(/[0-9a-f]{32}$/)[0]));
const texts = (page, selector) => page.locator(selector).allTextContents();

/** Without scripts: filter, page, open, share. */
async function reads() {
  const { context, page, wrong } = await visitor();
  const denied = await page.goto(`${ui}/`);
  assert.equal(denied.status(), 401);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.waitForURL(`${address}/login`);
  await signIn(page);
  assert.equal((await ids(page)).length, 50);
  assert.match(await page.locator('#activity').textContent(), /^more than 1,000 events/);
  assert.ok(await page.locator('p.loading').isHidden(), 'the numbers have come');

  // The form: what is left empty is not in the address.
  await page.getByLabel('Status', { exact: true }).fill('5xx');
  await page.getByLabel('Type', { exact: true }).fill('upload');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL(`${ui}/?event_type=upload&outcome=5xx`);
  assert.deepEqual([...new Set(await texts(page, '.how .status'))].sort(), ['500', '503']);
  // One value more, and one turned around.
  await page.getByLabel('Status, one more').fill('!503');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL(`${ui}/?event_type=upload&outcome=5xx&outcome=%21503`);
  assert.deepEqual([...new Set(await texts(page, '.how .status'))], ['500']);
  // A filter is taken off again.
  await page.getByRole('link', { name: 'Without: Type is upload' }).click();
  await page.waitForURL(`${ui}/?outcome=5xx&outcome=%21503`);

  // Three pages there, and the same three back.
  const pages = [await ids(page)];
  for (let n = 0; n < 3; n += 1) {
    await page.getByRole('link', { name: 'Older' }).click();
    await page.waitForURL(/cursor=/);
    pages.push(await ids(page));
    assert.equal(pages.at(-1).length, 50);
  }
  assert.equal(new Set(pages.flat()).size, 200, 'each event is on one page');
  const shared = page.url();
  for (let n = 2; n >= 0; n -= 1) {
    await page.getByRole('link', { name: 'Newer' }).click();
    await page.waitForURL(/newer=/);
    assert.deepEqual(await ids(page), pages[n], `page ${n}, on the way back`);
  }

  // A link to a page shows the same to somebody else, whatever came meanwhile.
  const pinned = await page.getByRole('link', { name: 'Link to this page' }).getAttribute('href');
  await traffic();
  const other = await visitor();
  await signIn(other.page);
  await other.page.goto(new URL(pinned, page.url()).href);
  assert.deepEqual(await ids(other.page), pages[0]);
  await other.page.goto(shared);
  assert.deepEqual(await ids(other.page), pages[3]);
  assert.deepEqual(other.wrong, []);
  await other.context.close();

  // An event, its neighbours, its JSON, and back.
  await page.goto(`${ui}/?user_email=alice@example.org&outcome=403`);
  await page.locator('table.events tbody tr').first().click();
  await page.waitForURL(/events\/[0-9a-f]{32}$/);
  assert.match(await page.locator('h1').textContent(), /admin_action/);
  assert.deepEqual(await texts(page, '[aria-labelledby=n-request] .badge .word'), ['started', 'denied']);
  await page.locator('[aria-labelledby=n-request] a').first().click();
  await page.waitForURL((url) => url.pathname.includes('/events/'));
  const event = await page.getByRole('link', { name: 'JSON' }).getAttribute('href');
  const json = await context.request.get(new URL(event, page.url()).href);
  assert.equal((await json.json()).event_id, page.url().slice(-32));
  // The seal of an event that came a moment ago, and the proof of it.
  for (let tries = 0; !/sealed as leaf \d+/.test(await page.locator('[aria-labelledby=g-seal]').textContent()); tries += 1) {
    assert.ok(tries < 200, 'the event is not sealed');
    await page.reload();
  }
  const [proof] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /^proof/ }).click()]);
  assert.equal(proof.suggestedFilename(), `${page.url().slice(-32)}.tlog-proof`);
  assert.match(readFileSync(await proof.path(), 'utf8'), /^c2sp\.org\/tlog-proof@v1\n/);
  await page.locator('dd').filter({ hasText: 'admin_action' }).getByRole('link').click();
  await page.waitForURL(`${ui}/?event_type=admin_action`);

  // An object's history, from its event; and the search box.
  await page.goto(`${ui}/`);
  await page.getByLabel('Search').fill('alice 4xx since:1y');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.waitForURL(`${ui}/?user_email=alice%2A&outcome=4xx&since=1y`);
  assert.ok((await texts(page, '.chips a')).length >= 3, 'the search is shown as filters');
  await page.goto(`${ui}/history?target=users/bob@example.org`);
  assert.match(await page.locator('h1').textContent(), /History of/);

  // A bar leads to its events.
  await page.goto(`${ui}/?since=30d`);
  const bar = page.locator('.chart svg a').nth(5);
  const count = (await bar.locator('title').textContent()).match(/: ([\d,]+) events/)[1];
  await bar.click();
  await page.waitForURL(/since=.*until=/);
  assert.match(await page.locator('#activity').textContent(), new RegExp(`^${count} events`));

  // By keyboard: past the header, into the table, and open.
  await page.goto(`${ui}/`);
  await page.keyboard.press('Tab');
  assert.equal(await page.locator(':focus').textContent(), 'Skip to the content');
  await page.keyboard.press('Enter');
  for (let n = 0; n < 60 && !(await page.locator('tbody th a:focus').count()); n += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/events\/[0-9a-f]{32}$/);

  // A user sees their own.
  const alice = await visitor();
  await signIn(alice.page, 'alice-token');
  assert.deepEqual([...new Set(await texts(alice.page, '.who .user'))], ['alice@example.org']);
  assert.equal((await alice.page.goto(`${ui}/?user_email=bob@example.org`)).status(), 403);
  assert.deepEqual(alice.wrong, []);
  await alice.context.close();

  // What is hostile is text.
  await page.goto(`${ui}/?event_type=auth&outcome=401&since=1h`);
  const shown = (await texts(page, '.who .user')).find((text) => text.includes('<img'));
  assert.ok(shown.startsWith('<img src=x onerror=alert(1)>\\u{202e}\\u{200b}\\u{1b}[2J"\'&'), shown);
  assert.equal(await page.locator('img').count(), 0);
  assert.deepEqual(wrong, []);
  await context.close();
}

/** Every kind of page, looked at and judged. */
async function looks() {
  const { context, page } = await visitor();
  await signIn(page);
  await page.goto(`${ui}/?since=1h`);
  const of = async (selector) => new URL(await page.locator(selector).first().getAttribute('href'), page.url()).href;
  const kinds = {
    list: `${ui}/`,
    filtered: `${ui}/?outcome=4xx&outcome=5xx&since=1h&user_email=%2a%40example.org&user_email=%21*`,
    empty: `${ui}/?user_email=nobody@example.org&since=1d`,
    overview: `${ui}/overview?since=1y`,
    history: `${ui}/history?target=users/bob@example.org`,
    event: await of('tr.panicked th a'),
    request: await of('tr.denied:has(.method) th a'),
    hostile: await of('tr:has(.odd) th a'),
    long: await of('tr:has(.cut) th a'),
    malformed: `${ui}/?since=yesterday`,
    missing: `${ui}/events/00000000000000000000000000000001`,
  };
  const cookies = await context.cookies(`${ui}/`);
  assert.deepEqual(cookies.map(({ httpOnly, sameSite, path }) => ({ httpOnly, sameSite, path })),
    [{ httpOnly: true, sameSite: 'Strict', path: '/audit' }]);
  await context.close();
  let judged = 0;
  for (const scheme of ['light', 'dark']) {
    for (const [size, width, height] of [['desktop', 1280, 900], ['phone', 390, 844]]) {
      // Scripts are for axe-core: the pages have none.
      const { context, page, wrong } = await visitor({ scheme, width, height, scripts: true });
      const engine = await context.newCDPSession(page);
      const evaluate = async (expression) =>
        (await engine.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })).result.value;
      for (const [kind, address] of Object.entries({ anonymous: `${ui}/`, ...kinds })) {
        if (kind === 'list') await context.addCookies(cookies);
        await page.goto(address);
        if (kind === 'long') await page.locator('details.long summary').first().click();
        await evaluate(axe);
        const violations = await evaluate(`axe.run(document).then(({ violations }) =>
          violations.map(({ id, nodes }) => id + ' at ' + nodes.map(({ target }) => target.join(' ')).join(', ')))`);
        assert.deepEqual(violations, [], `${kind}, ${size}, ${scheme}`);
        const [wide, shown] = await evaluate('[document.documentElement.scrollWidth, innerWidth]');
        assert.ok(wide <= shown, `${kind}, ${size}, ${scheme}: ${wide - shown} px beyond the side`);
        await page.screenshot({ path: `${shots}/${kind}-${size}-${scheme}.png`, fullPage: kind !== 'list' });
        judged += 1;
      }
      assert.deepEqual(wrong, []);
      await context.close();
    }
  }
  return judged;
}

const began = Date.now();
try {
  await traffic();
  await reads();
  const judged = await looks();
  console.log(`viewer: read without scripts; ${judged} pages without a violation; ${((Date.now() - began) / 1000).toFixed(1)} s`);
} finally {
  await browser.close();
}
