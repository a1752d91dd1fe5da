// The client that the gateway serves, in a real browser and with its default transports: on a page
// of the gateway's own and on one of another origin, and through a tunnel.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch, open, site } from "./support/browser.mjs";
import { assertRising, assertRun } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { isLong, publish, publishMany, SHARE, tidemark, until, wait } from "./support/tidemark.mjs";

const TOPIC = "demo/tide";
const WAYS = ["/script.html", "/module.html"];
let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

/* Runs in the page: connects, joins a topic and keeps what happens. */
function follow(io, topic, url, options) {
    const socket = io(url, { forceNew: true, ...options });
    const seen = { transports: [], recovered: [], joined: 0, reasons: [], errors: [], events: [] };
    socket.io.on("open", () => {
        const { engine } = socket.io;
        const transports = [engine.transport.name];
        seen.transports.push(transports);
        engine.on("upgrade", ({ name }) => transports.push(name));
    });
    socket.on("connect", async () => {
        seen.recovered.push(socket.recovered);
        if (socket.recovered)
            return;
        const answer = await socket.emitWithAck("tide:subscribe", { topic, meta: true });
        if (answer.ok)
            seen.joined++;
        else
            seen.errors.push(answer.message);
    });
    socket.on("disconnect", (reason) => seen.reasons.push(reason));
    socket.on("connect_error", (error) => seen.errors.push(error.message));
    socket.on("wave", (data, meta) => seen.events.push({ n: data.n, seq: meta.seq }));
    Object.assign(window, { socket, seen });
}

const pages = (origin = "") => Object.fromEntries(WAYS.map((way) => [way, `<!doctype html><title>Tide</title>
${way === "/module.html"
    ? `<script type="module">
import { io } from "${origin}/socket.io/socket.io.esm.min.js";
window.io = io;
</script>`
    : `<script src="${origin}/socket.io/socket.io.min.js"></script>`}
<script>window.follow = ${follow};</script>`]));

/* A share folder whose pages are the ones above; the client's files are those that ship. */
async function shareOf(t) {
    const share = await mkdtemp(path.join(os.tmpdir(), "tidemark-"));
    t.after(() => rm(share, { recursive: true, force: true }));
    await mkdir(path.join(share, "page"));
    await symlink(path.resolve(SHARE, "client"), path.join(share, "client"));
    for (const [name, html] of Object.entries(pages()))
        await writeFile(path.join(share, "page", name), html);
    return share;
}

async function start(t, options = {}) {
    return tidemark(t, { ...options, env: { TIDEMARK_SHARE: await shareOf(t) } });
}

/* A gateway, and pages of another origin, which it allows unless told. */
async function startApart(t, allowed) {
    const html = {};
    const origin = await site(t, html);
    const server = await tidemark(t, { gateway: ["--allow-origin", allowed ?? origin] });
    Object.assign(html, pages(server.url));
    return { server, origin };
}

async function openAt(t, url) {
    const page = await open(t, browser, url);
    await page.waitForFunction("window.io", null, { polling: 20 });
    return page;
}

async function join(page, where, options = {}) {
    await page.evaluate(`follow(io, "${TOPIC}", ${JSON.stringify(where.url)}, ${JSON.stringify(options)})`);
    await page.waitForFunction("seen.joined === 1", null, { polling: 20 });
}

const seen = (page) => page.evaluate("seen");

async function upgraded(page, connection = 1) {
    await until("the upgrade", async () => (await seen(page)).transports[connection - 1]?.at(-1) === "websocket");
    assert.equal(await page.evaluate("socket.io.engine.transport.name"), "websocket");
}

async function assertAll(page, count) {
    await until(async () => `${count} events; the page saw ${JSON.stringify(await seen(page)).slice(0, 500)}`,
        async () => (await seen(page)).events.length >= count);
    const { events } = await seen(page);
    assertRun(events.map(({ n }) => n), 0, count);
    assertRising(events.map(({ seq }) => seq));
}

/* Events come before, while and after it upgrades. */
async function polledThenUpgraded(page, server) {
    const isUpgraded = upgraded(page);
    await publishMany(server, TOPIC, 200, { batch: 5 });
    await isUpgraded;
    await publishMany(server, TOPIC, 100, { first: 200, batch: 20 });
    await assertAll(page, 300);
    const { transports, recovered, reasons, errors } = await seen(page);
    assert.deepEqual({ transports, recovered, reasons, errors },
        { transports: [["polling", "websocket"]], recovered: [false], reasons: [], errors: [] });
    assert.deepEqual(page.faults, []);
}

for (const way of WAYS) {
    test(`g1_a_page_of_the_gateway_polls_upgrades_and_gets_its_events_by_${path.basename(way, ".html")}`, async (t) => {
        const server = await start(t);
        const page = await openAt(t, server.url + way);
        await join(page, server);
        await polledThenUpgraded(page, server);
        assert.deepEqual(page.requests.filter(({ method }) => method === "OPTIONS"), []);
    });

    test(`g1_a_page_of_another_origin_polls_upgrades_and_gets_its_events_by_${path.basename(way, ".html")}`, async (t) => {
        const { server, origin } = await startApart(t);
        const page = await openAt(t, origin + way);
        await join(page, server);
        await polledThenUpgraded(page, server);
    });
}

test("a page of another origin may send headers of its own, which its browser asks about first", async (t) => {
    const { server, origin } = await startApart(t);
    const page = await openAt(t, `${origin}/script.html`);
    await join(page, server, { transports: ["polling"], extraHeaders: { "X-Trace": "7", "Accept-Language": "fr" } });
    await publishMany(server, TOPIC, 10);
    await assertAll(page, 10);
    const asked = page.requests.filter(({ method }) => method === "OPTIONS");
    assert.ok(asked.length >= 1, JSON.stringify(page.requests));
    assert.ok(page.requests.some(({ method }) => method === "POST"));
    assert.ok(asked.every(({ url }) => url.startsWith(`${server.url}/socket.io/`)));
    assert.deepEqual((await seen(page)).errors, []);
});

for (const options of [{}, { transports: ["polling"] }, { extraHeaders: { "X-Trace": "7" } }])
    test(`a page of an origin that is named may send its credentials: ${JSON.stringify(options)}`, async (t) => {
        const { server, origin } = await startApart(t);
        const page = await openAt(t, `${origin}/module.html`);
        await join(page, server, { withCredentials: true, ...options });
        if (!options.transports)
            await upgraded(page);
        await publishMany(server, TOPIC, 10);
        await assertAll(page, 10);
        assert.deepEqual((await seen(page)).errors, []);
    });

test("a page that * lets in is without its credentials", async (t) => {
    const { server, origin } = await startApart(t, "*");
    const page = await openAt(t, `${origin}/script.html`);
    await page.evaluate(`follow(io, "${TOPIC}", "${server.url}", { withCredentials: true })`);
    await page.waitForFunction("seen.errors.length > 0", null, { polling: 20 });
    assert.deepEqual((await seen(page)).recovered, []);
    await page.evaluate("socket.disconnect()");
    await join(page, server);
    await upgraded(page);
});

test("a page of an origin that is not named is refused, whatever carries it", async (t) => {
    const { server, origin } = await startApart(t, "http://elsewhere.example");
    const page = await openAt(t, `${origin}/script.html`);
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
        await page.evaluate(`follow(io, "${TOPIC}", "${server.url}", ${JSON.stringify({ transports })})`);
        await page.waitForFunction("seen.errors.length > 0", null, { polling: 20 });
        const { transports: opened, recovered } = await seen(page);
        assert.deepEqual({ opened, recovered }, { opened: [], recovered: [] });
        await page.evaluate("socket.disconnect()");
    }
});

test("the cache of a browser that took the files for another page does not keep one from them", async (t) => {
    const { server, origin } = await startApart(t);
    /* Once as a script, which says no origin, and once as a module, which does. */
    const page = await openAt(t, `${origin}/script.html`);
    for (const name of ["socket.io.esm.min.js", "socket.io.min.js"]) {
        await page.evaluate(`new Promise((resolve) => {
            const link = document.createElement("script");
            Object.assign(link, { src: "${server.url}/socket.io/${name}", onload: resolve, onerror: resolve });
            document.head.append(link);
        })`);
        assert.equal(await page.evaluate(`import("${server.url}/socket.io/${name}").then(() => "imported")`), "imported");
    }
});

/* -- tunnels ---------------------------------------------------------------------------------- */

const PINGS = isLong ? [] : ["--ping-interval", "500", "--ping-timeout", "500"];
const TUNNEL_MS = 60000;

/* Publishes one event after the other from `first` on for as long as `goesOn`; returns their end. */
async function publishWhile(server, first, goesOn) {
    let n = first;
    for (; await goesOn(); n++) {
        await publish(server, { topic: TOPIC, event: "wave", data: { n } });
        if (isLong)
            await wait(100);
    }
    return n;
}

for (const [name, options] of [["which_upgrades", {}], ["which_only_polls", { transports: ["polling"] }]])
    test(`g5_a_client_${name}_comes_out_of_a_tunnel_with_all_that_it_missed`, async (t) => {
        const server = await start(t, { gateway: PINGS });
        const between = await proxy(t, server);
        const page = await openAt(t, `${between.url}/script.html`);
        await join(page, between, options);
        const carried = async (connection) => {
            if (options.transports)
                assert.equal(await page.evaluate("socket.io.engine.transport.name"), "polling");
            else
                await upgraded(page, connection);
        };
        await carried(1);
        await publishMany(server, TOPIC, 20);
        await assertAll(page, 20);

        between.enterTunnel();
        const end = Date.now() + TUNNEL_MS;
        const connections = () => server.metric("tidemark_gateway_connections");
        let count = await publishWhile(server, 20, async () => {
            const { reasons } = await seen(page);
            return isLong ? Date.now() < end : reasons.length === 0 || await connections() > 0;
        });
        assert.equal(await connections(), 0, "the server went on believing in its client");
        const inside = await seen(page);
        assert.deepEqual(inside.reasons, ["ping timeout"]);
        assert.equal(inside.events.length, 20, "something came through");

        between.leaveTunnel();
        count = await publishWhile(server, count, async () => (await seen(page)).recovered.length < 2);
        await publishMany(server, TOPIC, 20, { first: count });
        await assertAll(page, count + 20);
        await carried(2);
        const { recovered, reasons, joined } = await seen(page);
        assert.deepEqual({ recovered, reasons, joined }, { recovered: [false, true], reasons: ["ping timeout"], joined: 1 });
        assert.deepEqual(page.faults, []);
    });

for (const [name, options] of [["which_upgrades", {}], ["which_only_polls", { transports: ["polling"] }]])
    test(`g1_to_a_client_${name}_a_short_tunnel_is_a_delay`, async (t) => {
        const server = await start(t);
        const between = await proxy(t, server);
        const page = await openAt(t, `${between.url}/script.html`);
        await join(page, between, options);
        if (!options.transports)
            await upgraded(page);
        await publishMany(server, TOPIC, 20);
        await assertAll(page, 20);
        between.enterTunnel();
        await publishMany(server, TOPIC, 300, { first: 20, batch: 10 });
        assert.equal((await seen(page)).events.length, 20, "something came through");
        between.leaveTunnel();
        await publishMany(server, TOPIC, 20, { first: 320 });
        await assertAll(page, 340);
        const { transports, recovered, reasons } = await seen(page);
        assert.deepEqual({ connections: transports.length, recovered, reasons }, { connections: 1, recovered: [false], reasons: [] });
    });
