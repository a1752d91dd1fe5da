// An EventSource in a real browser: whatever dies, it comes back by itself and says where it was.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "node:test";

import { launch, open, site } from "./support/browser.mjs";
import { assertRising, assertRun } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { noise, publish, publishSurely, tidemark, until } from "./support/tidemark.mjs";

const TOPICS = ["demo/ebb", "demo/flow"];
let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

/* Runs in the page: one EventSource, and what it dispatches. */
function listen(url, options) {
    const source = new EventSource(url, options);
    const seen = { opens: 0, errors: 0, events: [], resets: [] };
    source.onopen = () => { seen.opens++; };
    source.onerror = () => { seen.errors++; };
    source.onmessage = ({ data, lastEventId }) => {
        const { topic, seq, data: { n } } = JSON.parse(data);
        seen.events.push({ topic, seq, n, id: lastEventId });
    };
    source.addEventListener("reset", ({ data, lastEventId }) => {
        seen.resets.push({ ...JSON.parse(data), id: lastEventId });
    });
    Object.assign(window, { source, seen });
}

const PAGE = `<!doctype html><title>Tide</title><script>window.listen = ${listen};</script>`;

const address = (server, rest = "") =>
    `${server.url}/events?${TOPICS.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&")}${rest}`;

const streams = (page) => page.requests.filter(({ url, method }) => method === "GET" && url.includes("/events?"));

const seen = (page) => page.evaluate("seen");

function connect(t, server) {
    const socket = net.connect(server.port, "127.0.0.1");
    socket.on("error", () => {});
    t.after(() => socket.destroy());
    return socket;
}

/* A page of an origin of its own, which listens to both topics once this resolves. */
async function listener(t, origin, url, options = {}) {
    const page = await open(t, browser, origin);
    await page.evaluate(`listen(${JSON.stringify(url)}, ${JSON.stringify(options)})`);
    await opened(page, 1);
    return page;
}

async function opened(page, times) {
    await until(async () => `the EventSource to be open the ${times}. time; the page saw ${JSON.stringify(await seen(page)).slice(0, 500)}`,
        async () => (await seen(page)).opens >= times && await page.evaluate("source.readyState === EventSource.OPEN"), 30000);
}

/* Publishes { n: first … } to both topics in turn, each surely and once. */
async function publishBoth(server, first, count) {
    for (let n = first; n < first + count; n++)
        await publishSurely(server, { topic: TOPICS[n % 2], event: "wave", data: { n }, id: `wave-${n}` });
}

async function publishWhile(server, first, goesOn) {
    let n = first;
    for (; await goesOn(); n++)
        await publishBoth(server, n, 1);
    return n;
}

async function assertAll(page, count) {
    await until(async () => `${count} events; there are ${(await seen(page)).events.length}`,
        async () => (await seen(page)).events.length >= count);
    const { events, resets } = await seen(page);
    assertRun(events.map(({ n }) => n), 0, count);
    assertRising(events.map(({ seq }) => seq));
    assert.deepEqual(resets, []);
    assert.ok(events.every(({ topic, n }) => topic === TOPICS[n % 2]));
    const [{ id }] = events;
    const epoch = id.slice(0, id.indexOf(":"));
    assert.match(epoch, /^[0-9a-f]{16}$/);
    assert.deepEqual(events.map((event) => event.id), events.map(({ seq }) => `${epoch}:${seq}`));
}

async function start(t, options = {}) {
    const origin = await site(t, { "/": PAGE });
    const server = await tidemark(t, { ...options, gateway: ["--allow-origin", origin] });
    return { server, origin };
}

test("g1_an_event_source_that_is_cut_comes_back_and_reads_on", async (t) => {
    const { server, origin } = await start(t);
    const between = await proxy(t, server);
    const page = await listener(t, origin, address(between));
    let count = 0;
    for (let cut = 1; cut <= 3; cut++) {
        await publishBoth(server, count, 20);
        await assertAll(page, count += 20);
        between.cut();
        count = await publishWhile(server, count, async () => (await seen(page)).opens <= cut);
        await opened(page, cut + 1);
    }
    await publishBoth(server, count, 20);
    await assertAll(page, count + 20);
    const [first, ...others] = streams(page);
    assert.equal(first.headers["Last-Event-ID"], undefined);
    assert.ok(others.length >= 3);
    for (const { headers } of others)
        assert.match(headers["Last-Event-ID"], /^[0-9a-f]{16}:[1-9][0-9]*$/);
    assert.deepEqual(page.faults, []);
});

test("g1_an_event_source_that_is_cut_before_its_first_event_misses_none", async (t) => {
    const { server, origin } = await start(t);
    const between = await proxy(t, server);
    await publish(server, { topic: TOPICS[0], event: "wave", data: { n: -1 } });
    const page = await listener(t, origin, address(between));
    /* It is open when the head is there; the position follows. */
    await until("its position", () => streams(page)[0].received > "retry: 1000\n\nid: 0123456789abcdef:1".length);
    between.isOpen = false;
    between.cut();
    await publishBoth(server, 0, 50);
    between.isOpen = true;
    await assertAll(page, 50);
});

for (const [who, isSeparate] of [["the_gateway", true], ["the_broker", true], ["both_in_one", false]])
    test(`g5_an_event_source_reads_on_after_kill_9_of_${who}`, async (t) => {
        const { server, origin } = await start(t, { isSeparate });
        const page = await listener(t, origin, address(server));
        const program = who === "the_broker" ? server.broker : server.gateway;
        let count = 0;
        for (let kill = 1; kill <= 3; kill++) {
            await publishBoth(server, count, 20);
            await assertAll(page, count += 20);
            const published = publishBoth(server, count, 60);
            await program.end("SIGKILL");
            await server.start();
            await published;
            await assertAll(page, count += 60);
        }
        assert.equal(await page.evaluate("source.readyState"), 1);
        assert.deepEqual(page.faults, []);
    });

test("g5_an_event_source_that_comes_before_the_broker_waits_for_it", async (t) => {
    const { server, origin } = await start(t, { isSeparate: true });
    server.mayBeDown = true;
    const page = await listener(t, origin, address(server));
    await publishBoth(server, 0, 20);
    await assertAll(page, 20);
    await Promise.all([server.broker.end("SIGKILL"), server.gateway.end("SIGKILL")]);
    server.gateway.start();
    await opened(page, 2);
    const published = publishBoth(server, 20, 20);
    await server.start();
    await published;
    await assertAll(page, 40);
});

/* To a browser any answer but 200 is the end of it, and no answer is a reason to come again. */
test("g5_a_gateway_that_is_stopping_does_not_refuse_a_stream_for_good", async (t) => {
    const { server } = await start(t);
    server.mayBeDown = true;
    /* A WebSocket that does not answer the close keeps the gateway from being gone at once. */
    const lingering = connect(t, server);
    lingering.write("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    await once(lingering, "data");
    const asking = connect(t, server);
    let said = "";
    asking.on("data", (bytes) => { said += bytes; });
    const ask = (what) => asking.write(`GET ${what} HTTP/1.1\r\nHost: a\r\n\r\n`);
    ask("/readyz");
    await until("an answer", () => said.includes("\r\n\r\n"));
    server.gateway.child.kill("SIGTERM");
    await until("the stop to begin", () => {
        said = "";
        ask("/readyz");
        return until("an answer", () => said.includes("\r\n\r\n")).then(() => said.startsWith("HTTP/1.1 503"));
    });
    said = "";
    ask(address({ url: "" }));
    await until("the end of the connection", () => asking.closed);
    assert.equal(said, "");
});

test("g5_an_event_source_whose_history_is_trimmed_is_told_so_and_goes_on_from_what_stands", async (t) => {
    const { server, origin } = await start(t, { broker: ["--retain-events", "1000"] });
    const between = await proxy(t, server);
    await publish(server, { topic: TOPICS[0], event: "set", key: "lamp", data: { stands: true } });
    const page = await listener(t, origin, address(between));
    await publishBoth(server, 0, 4);
    await assertAll(page, 4);
    const { seq } = (await seen(page)).events[3];

    between.isOpen = false;
    between.cut();
    await until("history to be trimmed", async () => {
        await noise(server, TOPICS[0], 20_000);
        return (await server.get(`/api/v1/history?topic=${encodeURIComponent(TOPICS[0])}&since=${seq}&limit=1`)).json.trimmed;
    }, 60000);
    between.isOpen = true;
    await until("the reset", async () => (await seen(page)).resets.length >= 1);
    await publishBoth(server, 4, 10);
    await until("what came after it", async () => (await seen(page)).events.some(({ n }) => n === 13));

    const { events, resets } = await seen(page);
    const [reset] = resets.filter(({ topic }) => topic === TOPICS[0]);
    assert.equal(reset.code, "trimmed");
    assert.match(reset.epoch, /^[0-9a-f]{16}$/);
    assert.equal(reset.state.lamp.data.stands, true);
    assert.ok(reset.seq > seq);
    const after = events.slice(4);
    assertRun(after.map(({ n }) => n), 4, 10);
    assert.ok(after.every((event) => event.seq > reset.seq));
    assertRising(events.map((event) => event.seq));

    /* What was said stands: it reads on from there when it is cut once more. */
    between.cut();
    await publishBoth(server, 14, 10);
    await until("the rest", async () => (await seen(page)).events.some(({ n }) => n === 23));
    assert.equal((await seen(page)).resets.length, resets.length);
    assertRun((await seen(page)).events.slice(4).map(({ n }) => n), 4, 20);
});

test("an event source of another origin may come where that is allowed, with credentials where it is named", async (t) => {
    const origin = await site(t, { "/": PAGE });
    for (const [allowed, withCredentials, may] of [[origin, false, true], [origin, true, true], ["*", false, true],
                                                   ["*", true, false], ["http://elsewhere.example", false, false]]) {
        const server = await tidemark(t, { gateway: ["--allow-origin", allowed] });
        const page = await open(t, browser, origin);
        await page.evaluate(`listen(${JSON.stringify(address(server))}, { withCredentials: ${withCredentials} })`);
        if (may) {
            await opened(page, 1);
            await publishBoth(server, 0, 10);
            await assertAll(page, 10);
        }
        else {
            await page.waitForFunction("source.readyState === EventSource.CLOSED", null, { polling: 20 });
            assert.deepEqual({ ...(await seen(page)), errors: 0 }, { opens: 0, errors: 0, events: [], resets: [] });
        }
    }
});
