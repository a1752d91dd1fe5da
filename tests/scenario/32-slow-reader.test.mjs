// A client that stops reading costs the gateway nothing that grows, and the others nothing at all;
// when it reads again it has everything, or is told by a reset what it has not.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, connected, jsonClient, reader } from "./support/clients.mjs";
import { isLong, publish, tidemark, until, wait } from "./support/tidemark.mjs";

const EVENTS = isLong ? 1_000_000 : 100_000;
const BATCH = 200;
const AWAY_MS = isLong ? 60_000 : 10_000;
const MB = 1 << 20;
const text = "x".repeat(200);

/* Publishes { n } for n in [first, end), four batches under way, in order; paced to last `ms`. */
async function load(server, first, end, ms) {
    const begin = Date.now();
    for (let n = first; n < end; n += BATCH) {
        await publish(server, Array.from({ length: Math.min(BATCH, end - n) },
            (_, i) => ({ topic: "load", event: "wave", data: { n: n + i, text } })));
        const due = begin + (ms * (n - first)) / (end - first);
        if (due > Date.now() + 5)
            await wait(due - Date.now());
    }
}

/* The time from publish to arrival of single events on a topic of their own, in ms, sorted. */
async function latencies(server, client, rounds, isOver = () => false) {
    const taken = [];
    for (let n = 0; n < rounds && !isOver(); n++) {
        const before = client.events("probe").length;
        const begin = performance.now();
        await publish(server, { topic: "probe", event: "wave", data: { n } });
        await until("a probe", () => client.events("probe").length > before);
        taken.push(performance.now() - begin);
        await wait(20);
    }
    return taken.sort((a, b) => a - b);
}

test(`g6_two_clients_that_stop_reading_while_${EVENTS}_events_pass`, async (t) => {
    const server = await tidemark(t, { isSeparate: true, broker: ["--retain-events", String(2 * EVENTS)] });
    const slowJson = await jsonClient(t, server);
    await slowJson.ok({ op: "sub", topic: "load" });
    const slowStock = await reader(t, server, "load");
    const quick = await reader(t, server, "load");
    const prober = await jsonClient(t, server);
    await prober.ok({ op: "sub", topic: "probe" });

    // As busy as it will be, with everybody reading: this is what is compared with.
    const WARM = EVENTS / 4;
    let isOver = false;
    const before = latencies(server, prober, 10_000, () => isOver);
    await load(server, 0, WARM, AWAY_MS / 4);
    isOver = true;
    const calm = await before;
    await quick.count(WARM);
    await slowStock.count(WARM);
    await slowJson.count(WARM, "load");
    const memory = server.gateway.memory();

    slowJson.socket.pause();
    slowStock.socket.io.engine.transport.ws._socket.pause();
    isOver = false;
    const during = latencies(server, prober, 100_000, () => isOver);
    let most = 0;
    const watch = setInterval(() => { most = Math.max(most, server.gateway.memory()); }, 100);
    await load(server, WARM, WARM + EVENTS, AWAY_MS);
    clearInterval(watch);
    isOver = true;
    const busy = await during;
    const median = (sorted) => sorted[sorted.length >> 1];
    t.diagnostic(`memory ${(memory / MB).toFixed(1)} MB, at most ${(most / MB).toFixed(1)} MB; latency median ${
        median(calm).toFixed(1)} ms, then ${median(busy).toFixed(1)} ms; worst ${calm.at(-1).toFixed(0)} ms, then ${busy.at(-1).toFixed(0)} ms`);
    assert.ok(most - memory < 32 * MB, `the gateway grew by ${((most - memory) / MB).toFixed(1)} MB`);
    assert.ok(median(busy) < 3 * median(calm) + 20, `latency ${median(calm)} ms became ${median(busy)} ms`);
    await quick.count(WARM + EVENTS, 20000);
    assertRun(quick.ns, 0, WARM + EVENTS, "the quick reader");

    slowStock.socket.io.engine?.transport?.ws?._socket?.resume();
    slowJson.socket.resume();
    await connected(slowStock.socket);
    await slowStock.count(WARM + EVENTS, 120000);
    assertRun(slowStock.ns, 0, WARM + EVENTS, "the slow stock client");
    await slowJson.count(WARM + EVENTS, "load", 120000);
    assertRun(slowJson.events("load").map((event) => event.data.n), 0, WARM + EVENTS, "the slow JSON client");
});

test("g6_a_slow_reader_of_what_is_trimmed_meanwhile_gets_a_reset_with_the_state", async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "1000"] });
    const slow = await jsonClient(t, server);
    await slow.ok({ op: "sub", topic: "load" });
    slow.socket.pause();
    await publish(server, { topic: "load", event: "wave", key: "k", data: "stands" });
    await load(server, 0, 200_000, 0);
    slow.socket.resume();
    const reset = await slow.take("reset", 60000);
    assert.equal(reset.code, "trimmed");
    assert.equal(reset.state.k.data, "stands");
    const { seq } = await publish(server, { topic: "load", event: "wave", data: { n: "end" } });
    await until("the last event", () => slow.events("load").some((event) => event.seq === seq), 60000);
    const behind = slow.events("load").filter((event) => event.seq > reset.seq).map((event) => event.data.n);
    assertRun(behind.slice(0, -1), behind[0], behind.length - 1, "what came behind the reset");
});
