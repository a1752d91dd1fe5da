// The page's helper in a real browser: a reload resumes the session and misses nothing, a duplicated
// tab has a session of its own, and a live map is what stands. The client is the stock one, in its
// minified build and in the other. Leaves screenshots in the build folder.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { assertRun } from "./support/clients.mjs";
import { BIN, noise, publish, publishMany, request, SHOTS, tidemark, until, wait } from "./support/tidemark.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/* -- pages ------------------------------------------------------------------------------------ */

/*  Each socket joins "demo/tide" once a session and keeps in `got` what came to this document. */
const WATCH = `
import { liveMap, resume } from "/socket.io/tidemark.js";
const watch = (socket) => {
    socket.got = [];
    socket.joins = socket.connects = 0;
    socket.on("wave", (data, meta) => socket.got.push(data.n));
    socket.on("connect", () => {
        socket.connects++;
        socket.isWhole = socket.recovered;
        if (!socket.recovered)
            socket.emit("tide:subscribe", { topic: "demo/tide", meta: true }, (answer) => {
                socket.joins++;
                socket.isWhole = answer.ok;
            });
    });
    return socket;
};
const options = { transports: ["websocket"], reconnectionDelay: 20, reconnectionDelayMax: 100 };`;

const PAGES = {
    minified: `<script type="module">
import { io } from "/socket.io/socket.io.esm.min.js";
${WATCH}
window.socket = watch(resume(io(options)));
window.lamps = liveMap(socket, "lamps", () => { window.changes = (window.changes ?? 0) + 1; });
</script>`,
    readable: `<script src="/socket.io/socket.io.js"></script>
<script type="module">
${WATCH}
window.socket = watch(resume(io(options)));
</script>`,
    away: "",
    several: `<script type="module">
import { io } from "/socket.io/socket.io.esm.min.js";
${WATCH}
window.sockets = [
    resume(io(options)),
    resume(io("/admin", options)),
    resume(io(new URLSearchParams(location.search).get("other"), options)),
    resume(io({ ...options, forceNew: true }), "second")
].map(watch);
window.socket = sockets[0];
</script>`
};

let browser, share;

before(async () => {
    await mkdir(SHOTS, { recursive: true });
    // The gateway serves these pages beside its own.
    share = await mkdtemp(path.join(os.tmpdir(), "tidemark-share-"));
    await cp(process.env.TIDEMARK_SHARE ?? path.join(BIN, "../share"), share, { recursive: true });
    for (const [name, body] of Object.entries(PAGES))
        await writeFile(path.join(share, "page", `${name}.html`),
                        `<!doctype html><meta charset="utf-8"><title>${name}</title><link rel="icon" href="data:,">${body}`);
    process.env.TIDEMARK_SHARE = share;
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(async () => {
    await browser?.close();
    await rm(share, { recursive: true, force: true });
});

/*  A browser of its own, whose pages have nothing to complain of but that there is no server, as at
 *  the end of the test. */
async function newContext(t, options = {}) {
    const context = await browser.newContext(options);
    t.after(() => context.close());
    const complaints = [];
    const complain = (text) => { if (!/net::ERR_(CONNECTION|EMPTY|SOCKET)/.test(text)) complaints.push(text); };
    context.on("page", (tab) => {
        tab.on("pageerror", (error) => complain(error.stack));
        tab.on("console", (message) => { if (message.type() === "error") complain(message.text()); });
    });
    t.after(() => assert.deepEqual(complaints, []));
    return context;
}

async function open(context, server, where = "/minified.html") {
    const tab = await context.newPage();
    await tab.goto(server.url + where);
    await whole(tab);
    return tab;
}

/* The page's session is there, and has joined its topic. */
const whole = (tab) => until("a session that has joined", () => tab.evaluate(() => window.socket?.connected && socket.isWhole));
const session = (tab) => tab.evaluate(() => ({ id: socket.id, recovered: socket.recovered, connects: socket.connects, joins: socket.joins }));
const got = (tab, count) => until(`event ${count}`, async () => {
    const ns = await tab.evaluate(() => socket.got);
    return (ns.at(-1) ?? -1) >= count - 1 ? ns : undefined;
});
const lamps = (tab) => tab.evaluate(() => Object.fromEntries([...window.lamps].map(([key, event]) => [key, event.data])));
const set = (server, key, data) => publish(server, { topic: "lamps", event: "set", key, data });

const standing = async (server) => {
    const { state } = (await server.get("/api/v1/snapshot?topic=lamps")).json;
    return Object.fromEntries(Object.entries(state).map(([key, event]) => [key, event.data]));
};

async function shows(tab, server) {
    await until("the map to be what stands", async () => {
        try {
            assert.deepEqual(await lamps(tab), await standing(server));
            return true;
        }
        catch {
            return false;
        }
    });
}

/* -- the file --------------------------------------------------------------------------------- */

test("the helper is served beside the client, under 4 kB", async (t) => {
    const server = await tidemark(t, { gateway: ["--socketio-path", "/live/"] });
    for (const file of ["tidemark.js", "socket.io.esm.min.js"]) {
        const { status, headers, body } = await request(`${server.url}/live/${file}`);
        assert.deepEqual([status, headers["content-type"], headers["cache-control"]],
                         [200, "text/javascript; charset=utf-8", "no-cache"]);
        assert.match(headers.etag, /^"[0-9a-f]{32}"$/);
        assert.equal((await request(`${server.url}/live/${file}`, { headers: { "If-None-Match": headers.etag } })).status, 304);
        if (file === "tidemark.js")
            assert.ok(Buffer.byteLength(body) < 4000, `${Buffer.byteLength(body)} bytes`);
    }
    assert.equal((await request(`${server.url}/socket.io/tidemark.js`)).status, 404);
});

/* -- sessions --------------------------------------------------------------------------------- */

for (const build of ["minified", "readable"])
    test(`g1_g5_ten_reloads_under_load_miss_nothing_with_the_${build}_client`, async (t) => {
        const server = await tidemark(t);
        const tab = await open(await newContext(t), server, `/${build}.html`);
        const { id } = await session(tab);
        let isDone = false, published = 0;
        const writer = (async () => {
            while (!isDone) {
                await publishMany(server, "demo/tide", 10, { first: published, batch: 3 });
                published += 10;
                await wait(5);
            }
        })();
        const ns = [];
        for (let i = 0; i < 10; i++) {
            await until("some events", async () => (await tab.evaluate(() => socket.got.length)) > 20);
            // What came to the document, to its very end, is what it hands on.
            await tab.evaluate(() => addEventListener("pagehide", () => { sessionStorage.got = JSON.stringify(socket.got); }));
            await tab.reload();
            await whole(tab);
            ns.push(...await tab.evaluate(() => JSON.parse(sessionStorage.got)));
            assert.deepEqual(await session(tab), { id, recovered: true, connects: 1, joins: 0 });
        }
        isDone = true;
        await writer;
        ns.push(...await got(tab, published));
        assertRun(ns, ns[0], published - ns[0]);
        assert.ok(ns[0] <= 10, `the first was ${ns[0]}`);
    });

test("g5_a_reload_before_the_first_event_resumes_as_well", async (t) => {
    const server = await tidemark(t);
    const tab = await open(await newContext(t), server);
    const { id } = await session(tab);
    for (let i = 0; i < 3; i++) {
        await tab.reload();
        await whole(tab);
        assert.deepEqual(await session(tab), { id, recovered: true, connects: 1, joins: 0 });
    }
    await publishMany(server, "demo/tide", 5);
    assertRun(await got(tab, 5), 0, 5);
});

test("g5_what_is_published_between_two_pages_arrives_on_the_next", async (t) => {
    const server = await tidemark(t);
    const tab = await open(await newContext(t), server);
    const { id } = await session(tab);
    await publishMany(server, "demo/tide", 100);
    await got(tab, 100);
    await tab.goto(`${server.url}/away.html`);
    await publishMany(server, "demo/tide", 300, { first: 100 });
    await tab.goto(`${server.url}/minified.html`);
    await whole(tab);
    assertRun(await got(tab, 400), 100, 300);
    assert.deepEqual(await session(tab), { id, recovered: true, connects: 1, joins: 0 });
});

test("g5_a_reload_through_kill_9_of_the_server_resumes", async (t) => {
    const server = await tidemark(t);
    const tab = await open(await newContext(t), server);
    const { id } = await session(tab);
    await publishMany(server, "demo/tide", 20);
    await got(tab, 20);
    await tab.goto("about:blank");
    await publishMany(server, "demo/tide", 20, { first: 20 });
    await server.killAndRestart();
    await tab.goto(`${server.url}/minified.html`);
    await whole(tab);
    assertRun(await got(tab, 40), 20, 20);
    assert.equal((await session(tab)).id, id);
});

test("g5_a_session_that_is_gone_is_said_to_be_new_and_the_map_begins_anew", async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "500"] });
    const tab = await open(await newContext(t), server);
    const { id } = await session(tab);
    await set(server, "hall", 1);
    await publishMany(server, "demo/tide", 5);
    await got(tab, 5);
    await tab.goto("about:blank");
    await publishMany(server, "demo/tide", 5, { first: 5 });
    await until("the history that the page would need to be gone", async () => {
        await noise(server, "elsewhere", 5000);
        return (await server.get("/api/v1/history?topic=demo/tide&since=0")).json.trimmed;
    });
    await tab.goto(`${server.url}/minified.html`);
    await whole(tab);
    const now = await session(tab);
    assert.deepEqual([now.recovered, now.joins, now.id === id], [false, 1, false]);
    await shows(tab, server);
    assert.deepEqual(await lamps(tab), { hall: 1 });
});

test("g1_a_duplicated_tab_gets_a_session_of_its_own", async (t) => {
    const server = await tidemark(t);
    const context = await newContext(t);
    const tab = await open(context, server);
    const { id } = await session(tab);
    await tab.reload();
    await whole(tab);
    // A window that a page opens begins, as a duplicate does, with a copy of its session storage.
    const duplicate = async (of, where) => {
        const [copy] = await Promise.all([context.waitForEvent("page"), of.evaluate((url) => { window.open(url); }, where)]);
        return copy;
    };
    const copy = await duplicate(tab, "/minified.html");
    await whole(copy);
    const own = await session(copy);
    assert.deepEqual([own.recovered, own.id === id], [false, false]);
    for (const one of [copy, tab, copy]) {
        await one.reload();
        await whole(one);
    }
    assert.deepEqual([await session(tab), await session(copy)].map(({ id: sid, recovered, connects }) => [sid, recovered, connects]),
                     [[id, true, 1], [own.id, true, 1]]);

    // Duplicated between two pages of ours, both have the entry. One keeps the session at most, and
    // neither takes anything from the other for ever.
    await tab.goto(`${server.url}/away.html`);
    const twin = await duplicate(tab, "/away.html");
    await twin.waitForURL("**/away.html");
    const entries = (of) => of.evaluate(() => Object.keys(sessionStorage).length);
    assert.deepEqual([await entries(tab), await entries(twin)], [1, 1]);
    await Promise.all([tab, twin].map((one) => one.goto(`${server.url}/minified.html`)));
    const sessions = async () => {
        await Promise.all([whole(tab), whole(twin)]);
        return (await Promise.all([tab, twin, copy].map(session))).map(({ id: sid, connects }) => [sid, connects]);
    };
    const areThree = (found) => new Set(found.map(([sid]) => sid)).size === 3;
    await until("three sessions", async () => areThree(await sessions()));
    // Each has heard all that the other said.
    await Promise.all([[tab, twin], [twin, tab]].map(async ([from, to], i) => {
        await to.evaluate((word) => {
            const pages = new BroadcastChannel("tidemark");
            pages.onmessage = ({ data }) => { window.hasHeard ||= data === word; };
        }, `word ${i}`);
        await from.evaluate((word) => { new BroadcastChannel("tidemark").postMessage(word); }, `word ${i}`);
        await until("the word to be heard", () => to.evaluate(() => window.hasHeard));
    }));
    const settled = await sessions();
    assert.ok(areThree(settled), JSON.stringify(settled));
    await publishMany(server, "demo/tide", 50);
    for (const one of [tab, twin, copy])
        assertRun(await got(one, 50), 0, 50);
    assert.deepEqual(await sessions(), settled);
    assert.ok(settled.every(([, connects]) => connects <= 3), JSON.stringify(settled));
});

test("g5_sockets_of_one_page_resume_each_its_own_session", async (t) => {
    const server = await tidemark(t, { gateway: ["--namespace", "/", "--namespace", "/admin"] });
    const other = await tidemark(t, { gateway: ["--allow-origin", "*"] });
    const where = `/several.html?other=${encodeURIComponent(other.url)}`;
    const tab = await open(await newContext(t), server, where);
    const all = () => until("all sockets to have joined", () => tab.evaluate(() =>
        sockets.every((one) => one.connected && one.isWhole) && sockets.map((one) => [one.id, one.recovered])));
    const before = await all();
    assert.equal(new Set(before.map(([id]) => id)).size, 4);
    await tab.goto("about:blank");
    await publishMany(server, "demo/tide", 10);
    await publishMany(other, "demo/tide", 20);
    await tab.goto(server.url + where);
    assert.deepEqual(await all(), before.map(([id]) => [id, true]));
    for (const [i, count] of [10, 10, 20, 10].entries()) {
        await until(`${count} events`, () => tab.evaluate(([at, wanted]) => sockets[at].got.length >= wanted, [i, count]));
        assertRun(await tab.evaluate((at) => sockets[at].got, i), 0, count);
    }
});

test("g5_a_page_without_session_storage_works_and_begins_anew_at_each_reload", async (t) => {
    const server = await tidemark(t);
    const context = await newContext(t);
    await context.addInitScript(() => {
        Object.defineProperty(window, "sessionStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
    });
    const tab = await open(context, server);
    const { id } = await session(tab);
    // In the page itself it resumes as ever.
    await tab.evaluate(() => socket.io.engine.close());
    await until("the page to be back", async () => (await session(tab)).connects === 2);
    assert.deepEqual(await session(tab), { id, recovered: true, connects: 2, joins: 1 });
    await tab.reload();
    await whole(tab);
    assert.equal((await session(tab)).recovered, false);
});

/* -- live maps -------------------------------------------------------------------------------- */

test("g5_a_live_map_follows_sets_and_removals_and_a_late_joiner_is_right_at_once", async (t) => {
    const server = await tidemark(t);
    const context = await newContext(t);
    await set(server, "hall", { on: true });
    await set(server, "porch", 1);
    const tab = await open(context, server);
    await tab.evaluate(() => lamps.ready);
    assert.deepEqual(await lamps(tab), { hall: { on: true }, porch: 1 });
    await set(server, "porch", 2);
    await set(server, "attic", null);
    await publish(server, { topic: "lamps", event: "set", key: "hall" });
    await publish(server, { topic: "lamps/other", event: "set", key: "hall", data: 7 });
    await set(server, "end", 1);
    await until("the last change", () => tab.evaluate(() => lamps.has("end")));
    assert.deepEqual(await lamps(tab), { porch: 2, attic: null, end: 1 });
    assert.equal(await tab.evaluate(() => changes), 1 + 4);

    const late = await context.newPage();
    await late.goto(`${server.url}/minified.html`);
    await until("the page's script", () => late.evaluate(() => Boolean(window.lamps)));
    await late.evaluate(() => lamps.ready);
    assert.deepEqual(await lamps(late), { porch: 2, attic: null, end: 1 });
});

test("g1_g5_live_maps_are_what_stands_through_reloads_and_cuts_while_keys_change", async (t) => {
    const server = await tidemark(t);
    const context = await newContext(t);
    const tabs = await Promise.all([1, 2, 3].map(() => open(context, server)));
    let isDone = false, count = 0;
    const writer = (async () => {
        while (!isDone)
            await publish(server, Array.from({ length: 20 }, () => {
                const key = `k${++count % 37}`;
                return { topic: "lamps", event: "set", key, ...count % 11 ? { data: count } : {} };
            }));
    })();
    for (let i = 0; i < 8; i++) {
        const tab = tabs[i % 2];
        if (i % 4 < 2)
            await tab.evaluate(() => socket.io.engine.close());
        else
            await tab.reload();
        await whole(tab);
    }
    isDone = true;
    await writer;
    for (const tab of tabs)
        await shows(tab, server);
});

test("g8_a_new_log_behind_a_live_connection_replaces_the_map", async (t) => {
    const server = await tidemark(t, { isSeparate: true, broker: ["--memory"] });
    const tab = await open(await newContext(t), server);
    await set(server, "hall", 1);
    await set(server, "porch", 1);
    await until("the keys", () => tab.evaluate(() => lamps.size === 2));
    const epoch = await tab.evaluate(() => lamps.epoch);
    await server.broker.end("SIGKILL");
    await server.start();
    await set(server, "attic", 2);
    await until("the map of the new log", async () => (await lamps(tab)).attic === 2);
    assert.deepEqual(await lamps(tab), { attic: 2 });
    assert.notEqual(await tab.evaluate(() => lamps.epoch), epoch);
    assert.equal((await session(tab)).connects, 1, "by a reset, not by coming again");
});

/* -- the board -------------------------------------------------------------------------------- */

async function openBoard(t, server, { width = 1280, height = 900, colorScheme = "light" } = {}) {
    const context = await newContext(t, { viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    const tab = await context.newPage();
    await tab.goto(`${server.url}/board/`);
    await tab.waitForSelector("#self.connected");
    return tab;
}

const isOn = (tab, key) => tab.getAttribute(`#control-${key}`, "aria-checked").then((value) => value === "true");
const figure = async (tab, name) => Number((await tab.textContent(`#${name}`)).replace(/[^0-9]/g, ""));
const turned = (tab, key, on) => until(`${key} to be ${on ? "on" : "off"}`, async () => await isOn(tab, key) === on);

for (const [width, height, colorScheme] of [[1280, 900, "light"], [390, 844, "dark"]])
    test(`g5_the_board_is_shared_and_misses_nothing_through_a_reload_and_a_cut_at_${width}_px_${colorScheme}`, async (t) => {
        const server = await tidemark(t);
        const board = (key, data) => publish(server, { topic: "demo/board", event: "set", key, data });
        await board("lantern", true);
        await board("brightness", 70);
        const tab = await openBoard(t, server, { width, height, colorScheme });
        const other = await openBoard(t, server);
        await turned(other, "lantern", true);
        assert.equal(await other.inputValue("#control-brightness"), "70");

        await tab.focus("#control-quay");
        await tab.keyboard.press("Space");
        await turned(other, "quay", true);
        await tab.focus("#control-water");
        for (let i = 0; i < 5; i++)
            await tab.keyboard.press("ArrowRight");
        await until("the slider", async () => await other.inputValue("#control-water") === "5");
        await until("ticks of both", async () => await figure(tab, "seen") > 2 && await figure(tab, "browsers") === 2);

        const sid = await tab.getAttribute("#session", "title");
        await Promise.all([tab.waitForEvent("load"), tab.click("#reload"), board("gate", true)]);
        await tab.waitForSelector("#self.connected");
        await turned(tab, "gate", true);
        assert.deepEqual([await tab.getAttribute("#session", "title"), await tab.textContent("#resumed")], [sid, "1×"]);
        await until("the ticks that were left behind", async () => await figure(tab, "seen") > 22);

        await tab.click("#offline");
        await tab.waitForSelector("#self.offline");
        await board("horn", true);
        await tab.click("#control-lantern");
        assert.equal(await tab.textContent("#who-lantern"), "goes out when back");
        await tab.screenshot({ path: path.join(SHOTS, `board-${width}-${colorScheme}-offline.png`), fullPage: true });
        await tab.waitForSelector("#self.connected");
        await turned(tab, "horn", true);
        await turned(other, "lantern", false);
        await until("what happened meanwhile, marked", () => tab.$("#events .found"));
        await until("the sum", async () => /^Back: \d\d+ events caught up, none missed/.test(await tab.textContent("#said")));
        assert.deepEqual([await tab.getAttribute("#session", "title"), await tab.textContent("#resumed")], [sid, "2×"]);
        for (const one of [tab, other])
            assert.deepEqual([await figure(one, "missed"), await figure(one, "twice")], [0, 0]);
        assert.equal(await tab.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
        await tab.screenshot({ path: path.join(SHOTS, `board-${width}-${colorScheme}.png`), fullPage: true });

        await tab.click("#clear");
        await until("nothing to stand", async () => await figure(other, "keys") === 0);
        await turned(other, "gate", false);
    });

test("the landing page leads to the board", async (t) => {
    const server = await tidemark(t);
    const tab = await openBoard(t, server);
    await tab.goto(server.url);
    await tab.click('.elsewhere a[href="board/"]');
    await tab.waitForSelector("#self.connected");
    assert.equal(new URL(tab.url()).pathname, "/board/");
});
